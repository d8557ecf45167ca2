"""The networks as their authors' code computes them: what marey's speed is measured against.

Plain eager float32 in NCHW, with every copy and intermediate tensor that the published code makes,
and with its names of tensors, so that `marey.convert` knows which weight is which. The words are
ours. Each takes clips [b t c h w] and gives logits [b k], equal to marey's to rounding.
"""
