#!/usr/bin/env bash
# Train, serve, watch, be alarmed, train again on what came, promote: all of it in one folder, on this machine alone.
#
#     bash examples/production/walkthrough.sh FOLDER      # FOLDER is new or empty; README.md beside this file tells the story
#
# Smaller or larger by the environment: WALK_EPOCHS, WALK_WIDTH, WALK_TRIALS (of the sweep), WALK_REPLICATES (of intervals).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$(command -v "${PYTHON:-python}")
server=""

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$@"; }
fail() { echo "walkthrough: $*" >&2; exit 1; }
pipeline() { "$python" -m pipeline "$@"; } # the project's own copy of the code, as DVC's stages run it

# Runs a command and goes on only if it ends with exit code $1.
expect() {
  local wanted=$1 code=0
  shift
  echo "\$ $*"
  "$@" || code=$?
  [ "$code" = "$wanted" ] || fail "expected exit code $wanted, got $code: $*"
  echo "   exit code $code"
}

stop() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=""
  fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits up to two minutes for a command to succeed.
until_true() {
  for _ in $(seq 240); do
    if "$@"; then return 0; fi
    kill -0 "$server" 2>/dev/null || { cat serve.log >&2; fail "the server has ended"; }
    sleep 0.5
  done
  cat serve.log >&2
  fail "waited in vain for: $*"
}
address() { sed -n 's/.*answers at \(http:[^ ]*\) after.*/\1/p' serve.log; }
started() { [ -n "$(address)" ]; }
serves() { grep -q "\"version\": *\"$1\"" <<<"$(fetch "$url/model")"; }
fetch() { "$python" -c 'import sys, requests; print(requests.get(sys.argv[1], timeout=30).text)' "$1"; }
# Asks about all rows of a file, and waits until the inference log has them on disk.
sent=0
ask() {
  expect 0 "$python" "$here/ask.py" "$url" "$1"
  sent=$((sent + $(wc -l <"$1") - 1))
  until_true logged
}
logged() { grep -q "^pipeline_log_rows_total $sent\(\.0\)\?\$" <<<"$(fetch "$url/metrics")"; }

# ---------------------------------------------------------------------------------------------------------------------------------------
[ $# = 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
[ -z "$(ls -A)" ] || fail "$PWD is not empty"
unset DVC_ROOT DVC_EXP_NAME MLFLOW_TRACKING_URI PIPELINE_STATE PIPELINE_API_KEY

say "1. A project of its own: the code, dvc.yaml, params.yaml, the first deliveries of rows"
cp -R "$root/pipeline" "$root/extensions" "$root/dvc.yaml" "$root/.dvcignore" "$root/requirements.lock" .
mkdir .dvc && cp "$root/.dvc/config" "$root/.dvc/.gitignore" .dvc/
{ cat "$root/.gitignore"; printf '%s\n' /sent/ /outcomes/ /serve.log; } >.gitignore
cat >params.yaml <<PARAMS
seed: 7
data:
  source: incoming                  # a folder: every delivery is a file more
  files: "*.csv"
  target: any_visit
  task: binary
  columns: {case: id, person: id, plan: category, source_file: ignore}
clean: {}
split:
  strategy: group
  by: person                        # a person's side follows from the person: it stays when deliveries are added
  validation: 0.15
  test: 0.3                         # what the monitor compares losses with: too few, and it sees no decay
normalize: {rare_category: 10}
model: {layers: 2, width: ${WALK_WIDTH:-128}, dropout: 0.1, bins: 16}
train: {epochs: ${WALK_EPOCHS:-30}, batch_size: 128, learning_rate: 0.003, device: cpu}
tune:
  trials: ${WALK_TRIALS:-5}
  space: {train.learning_rate: {log: [1.0e-3, 1.0e-2]}, model.dropout: {uniform: [0.0, 0.4]}}
evaluate: {replicates: ${WALK_REPLICATES:-1000}}
register: {name: visits}
monitor:
  window: 300                       # of test rows; of the log --window says it
serve:
  reload: 1                         # seconds between two looks for a promotion
  keep: [case, person]              # no input of the network: by the one labels are given, by the other rows belong together
PARAMS
"$python" "$here/rows.py" "$root/examples/rand_health" .
git init -q
git config user.name "walk-through" && git config user.email "walk@example.com"
"$python" -m dvc add -q incoming
git add -A && git commit -qm "The project and its first deliveries"

say "2. Train, evaluate, register: the first version is the champion"
expect 0 pipeline run
git add -A && git commit -qm "First version"

say "3. Serve it"
"$python" -m pipeline serve --port 0 >serve.log 2>&1 &
server=$!
until_true started
url=$(address)
note "answers at $url"
until_true serves 1

say "4. The usual traffic, its outcomes, a look: quiet"
ask sent/usual.csv
expect 0 pipeline label outcomes/usual.csv --by case --label any_visit
expect 0 pipeline monitor --log --window 1000 --fail-on drift

say "5. People under a plan that is new: drift, seen before a single outcome is known"
ask sent/enrolment.csv
expect 3 pipeline monitor --log --window 1000 --fail-on drift
note "an alarm for decay alone does not go off:"
expect 0 pipeline monitor --log --window 1000 --fail-on decay

say "6. Their outcomes: the model is worse for them, and it is time to train again"
expect 0 pipeline label outcomes/enrolment.csv --by case --label any_visit
expect 3 pipeline monitor --log --window 1000 --fail-on decay

say "7. What came becomes a delivery of its own, and the project is run again"
expect 0 pipeline logged incoming/2.csv
"$python" -m dvc add -q incoming
expect 0 pipeline run
git add -A && git commit -qm "Second version: with the rows of the inference log"
expect 0 pipeline versions

say "8. The second version takes over, if the gate has not made it champion by itself"
if pipeline versions --json | "$python" -c 'import json, sys; sys.exit("champion" in json.load(sys.stdin)["versions"][0]["aliases"])'; then
  expect 0 pipeline promote 2 --why "the new plan is here to stay, and version 1 has never seen it"
fi
until_true serves 2
note "the server has taken version 2 by itself"

say "9. From now on the new plan is a part of everyday traffic: quiet again"
ask sent/everyday.csv
expect 0 pipeline label outcomes/everyday.csv --by case --label any_visit
expect 0 pipeline monitor --log --window 1000 --fail-on drift
expect 0 pipeline versions

say "10. Done"
stop
note "windows of both versions   reports/production/*/index.html" "the training               reports/index.html" "runs and versions          pipeline runs, pipeline versions"
