"""Long work in parts: shared out over processes and machines, and gone on with after a kill.

    rows     0 ........ 255 | 256 ...... 511 | 512 ...... 767 | 768 .. 900
    parts    00000.part     | 00001.part     | 00002.part     | 00003.part
    shards   0/2              1/2              0/2              1/2

A *part* is what comes of some rows, in a file that has its name only when it is whole: a part that
is there is done, whoever made it, and the last to finish joins all parts into the result.
A *shard* i/n is the share of one command out of n that work on the same result: every n-th part.
An *executor* says by whom a command's parts are made: by itself (`Here`), by processes of this
machine (`Processes`), or by those of a Ray cluster (`Ray`). A job that crashes or hangs the process
that does it is `Lost`, and costs no other job.

parts        cutting the rows, making what is missing, joining
half_done    where parts lie until the result is there, and who joins them
journal      for many small answers in place of parts: a line each, written as it comes
shards       which part is whose
executors    `Executor`, and the three that there are
processes    processes of this machine, one job at a time each
ray_cluster  the same on every node of a cluster
"""
