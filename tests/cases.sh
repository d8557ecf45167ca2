#!/bin/bash
# Small inputs with the right answer, written without marey, where their folder lies beside this
# checkout. Each prints a line; the exit status is the number of those that are not right.
#
#     bash tests/cases.sh [KIND[/NAME]]...
cd "$(dirname "$0")/.." || exit 1
cases=../shared/cases
[ -d "$cases" ] || { echo "no $cases: nothing to run"; exit 0; }
export MAREY=${MAREY:-.venv/bin/marey}
wrong=0
for what in "${@:-}"; do
  for run in $(find "$cases/$what" -name run.sh | sort); do
    name=$(basename "$(dirname "$(dirname "$run")")")/$(basename "$(dirname "$run")")
    if said=$(bash "$run" 2>&1); then
      echo "right: $name"
    else
      wrong=$((wrong + 1))
      echo "WRONG: $name: $(echo "$said" | tail -n 1)"
    fi
  done
done
exit "$wrong"
