#!/usr/bin/env bash
# onnxruntime 1.31.1, the Linux wheel: `import onnxruntime` writes an event with the interpreter's path, the system's
# name and an identifier of the device below ~/.cache/Microsoft, in a store that is meant to be uploaded. Calling
# `disable_telemetry_events()` right after the import is too late for it. With ORT_DISABLE_TELEMETRY=1 in the environment
# before the import nothing is written.
# Seen: 1 event after the import, 1 with the call, no file with the variable.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install onnxruntime==1.31.1
cat > count.py <<'PY'
import pathlib
import sqlite3
import sys

stores = sorted(pathlib.Path(sys.argv[1]).rglob("*.db"))
payloads = [row[0] for store in stores for row in sqlite3.connect(store).execute("select payload from events")]
named = sum(b"ProcessInfo" in payload and sys.argv[2].encode() in payload for payload in payloads)
print(f"{sys.argv[3]}: {len(stores)} stores, {named} events with the interpreter's path")
PY
count() { # NAME, then the environment and the program
    mkdir "$1"
    env -u XDG_CACHE_HOME HOME="$folder/$1" "${@:3}" v/bin/python -c "$2"
    v/bin/python count.py "$folder/$1" v/bin/python "$1" | tee -a seen.txt
}
count imported "import onnxruntime"
count called "import onnxruntime; onnxruntime.disable_telemetry_events()"
count variable "import onnxruntime" ORT_DISABLE_TELEMETRY=1
diff seen.txt - <<'EXPECTED'
imported: 1 stores, 1 events with the interpreter's path
called: 1 stores, 1 events with the interpreter's path
variable: 0 stores, 0 events with the interpreter's path
EXPECTED
