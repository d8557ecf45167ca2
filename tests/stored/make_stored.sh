#!/usr/bin/env bash
# Makes what lies in this folder, with the marey that PYTHONPATH names: see README.md.
#
#     PYTHONPATH=CHECKOUT OMP_NUM_THREADS=1 bash make_stored.sh NEW_FOLDER    (PYTHON: default python)
#
# All paths in what is made are relative to NEW_FOLDER, but for three jobs that were left half done.
# The parts of such a job belong to one root of the clips, as an absolute path; theirs is
# /proc/self/cwd/data, which on Linux is the folder `data` of the working directory, wherever it is.
set -euo pipefail
python=${PYTHON:-python}
tests=$(cd "$(dirname "$0")/.." && pwd)
mkdir "$1" && cd "$1"
root=/proc/self/cwd/data
marey() { "$python" -m marey "$@"; }

# Trains as `marey train` does, and is interrupted, as by Ctrl-C, when epoch $1 is over: the run is
# then saved after the first step of the next one.
train_until() {
    "$python" - "$@" <<'PYTHON'
import signal
import sys

from marey.cli import main
from marey.engine.runlog import RunLog

last, write = int(sys.argv[1]), RunLog.epoch


def epoch(log, row):
    write(log, row)
    if row["epoch"] == last:
        signal.raise_signal(signal.SIGINT)


RunLog.epoch = epoch
sys.argv[1:] = ["train", *sys.argv[2:]]
main()
PYTHON
}
interrupted() { "$@" && return 1 || [ $? -eq 130 ]; }

# --- clips and manifests --------------------------------------------------------------------------

"$python" - <<'PYTHON'
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAMES = 20
for name in ("left", "right"):
    folder = Path("data/videos", name)
    folder.mkdir(parents=True)
    for number in range(4):
        with av.open(str(folder / f"{number}.mp4"), "w") as file:
            stream = file.add_stream("libx264", rate=Fraction(10))
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            stream.codec_context.thread_count = 1
            for t in range(FRAMES):
                picture = np.full((32, 32, 3), 40 + 30 * number, np.uint8)
                x = t if name == "right" else FRAMES - t
                picture[8:20, x : x + 10] = (230, 160, 60)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
PYTHON

marey data init data/videos data --val 0.5 --workers 1

cat > data/clips.csv <<'CSV'
path,label,split,group,source,id,start,end,num_frames,fps
videos/left/0.mp4,left,train,a,real,one,0,1.2,20,
videos/left/0.mp4,left,val,a,real,two,0.5,,20,
videos/left/1.mp4,left,test,b,synthetic,three,,,,10
videos/right/0.mp4,right,train,c,real,four,0.2,1.9,20,
videos/right/1.mp4,right,val,"d, e",synthetic,five,,1,20,
videos/right/1.mp4,right,val,"d, e",synthetic,six,,1,20,
CSV
cat > data/several.csv <<'CSV'
path,label,split
videos/left/0.mp4,left,train
videos/left/1.mp4,left|right,train
videos/right/0.mp4,right,val
CSV
printf 'open\nclose\nturn\n' > data/labels.verb.txt
printf 'door\nbook\n' > data/labels.noun.txt
cat > data/heads.csv <<'CSV'
path,verb,noun,split
videos/left/0.mp4,open,book,train
videos/left/1.mp4,2,1,train
videos/right/0.mp4,close,door,val
CSV
for name in clips several heads; do
    marey data convert data/$name.csv data/$name.arrow
    marey data convert data/$name.csv data/$name.parquet
done

# 1,030 spans of six clips are two parts of an evaluation, 260 are two parts of a check
"$python" - <<'PYTHON'
import pyarrow as pa
import pyarrow.parquet

spans = [(start, end) for start in range(20) for end in range(start + 2, 21)]
rows = [(f"videos/{name}/{number}.mp4", name, *span)
        for span in spans for name in ("left", "right") for number in range(3)]  # fmt: skip
names = ("path", "label", "start_frame", "end_frame")
for count in (1030, 260):
    columns = zip(*rows[:count], strict=True)
    table = pa.table(dict(zip(names, columns, strict=True)))
    pyarrow.parquet.write_table(table, f"data/{count}-spans.parquet")
PYTHON

# --- runs -----------------------------------------------------------------------------------------

small=(
    tsm-r18 model.encoder.channels=1 model.temporal.0.shift_div=2 model.num_segments=4
    model.dropout=0 train.sampling.num_segments=4 test.sampling.num_segments=4 train.crop.size=32
    test.crop.size=32 test.crop.resize=32 stages.0.epochs=2 stages.0.optim.lr=0.1
    stages.0.warmup.epochs=0 batch_size=2 lr_batch_size=null data.workers=0 save_best=acc/top1
    --manifest data/manifest.csv
)
marey train "${small[@]}" --work-dir runs/whole
marey eval runs/whole
interrupted train_until 1 "${small[@]}" --work-dir runs/half
rm runs/whole/checkpoints/last.pt runs/half/checkpoints/best.pt  # large; nothing here needs them

marey features runs/whole --manifest data/manifest.csv --out features.arrow
unequal=(
    features-mlp+crt model.encoder.hidden=4 model.dropout=0.2 stages.0.objective=BalancedSoftmax
    stages.0.epochs=2 stages.1.epochs=2 stages.0.optim.lr=0.05 ema=0.5 batch_size=2 --manifest features.arrow
)
marey train "${unequal[@]}" --work-dir runs/features
marey eval runs/features
interrupted train_until 3 "${unequal[@]}" --work-dir runs/features-half
rm -r runs/*/tb  # the names of these files name the machine

# --- a release and packs --------------------------------------------------------------------------

marey export runs/whole release
sed -n '1p;2p;6p;9p' data/manifest.csv > data/few.csv
marey data pack data/few.csv packed --fps 1.5 --workers 1

# --- jobs: one done by shards, three left half done -----------------------------------------------

marey predict runs/whole data/manifest.csv --root $root --out jobs/predictions.parquet --shard 0/2
marey eval runs/whole data.root=$root --manifest data/1030-spans.parquet --out jobs/eval \
    --batch-size 1024 --shard 0/2
marey data check $root/260-spans.parquet --out jobs/check.csv --workers 1 --shard 0/2
marey data pack data/few.csv jobs/packed --root $root --clips 1 --fps 1.5 --workers 1 --shard 1/2
find . -name '*.lock' -o -name lock | xargs rm  # empty, and made again
find . -type d -empty -delete

# --- what the code that made all that says of it ---------------------------------------------------

platform='"platform": "Linux"'  # less than there stood, which names the machine's kernel
find . -name env.json -o -name results.json | xargs sed -i "s/\"platform\": \"[^\"]*\"/$platform/"
PYTHONPATH=$PYTHONPATH:$tests "$python" -c "import test_stored; test_stored.write_expected()"
