"""What the annotation files of known data sets say, and a manifest of the clips that are there.

One module a data set, with one value (`DataSet`); `marey.data.datasets.catalog` lists them all and
`marey.data.prepare.prepare` makes the manifest.
"""
