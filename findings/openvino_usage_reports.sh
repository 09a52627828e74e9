#!/usr/bin/env bash
# openvino 2026.4.1: `import openvino` makes an identifier of the user in ~/intel and reports the import through the package
# openvino-telemetry, which is installed with it. It does not ask first, and no variable or argument of its own turns it
# off. `opt_in_out --opt_out`, run once before, does; so does taking the package out, without which OpenVINO works as well.
# Seen: an identifier after the import; none after opting out; none, and the import works, without the package.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install openvino==2026.4.1 openvino-telemetry==2025.2.0
mkdir imported opted without
run() { env -u CI -u TF_BUILD -u JENKINS_URL HOME="$folder/$1" "${@:2}"; }
count() { echo "$1: $(find "$1" -name openvino_ga_cid | wc -l) identifiers" | tee -a seen.txt; }
run imported v/bin/python -c "import openvino; print(openvino.__version__)" | grep 2026.4.1
count imported
run opted v/bin/opt_in_out --opt_out > opted.log
rm -f opted/intel/openvino_ga_cid
run opted v/bin/python -c "import openvino; openvino.Core()"
count opted
v/bin/pip --quiet uninstall --yes openvino-telemetry
run without v/bin/python -c "import openvino; openvino.Core()"
count without
diff seen.txt - <<'EXPECTED'
imported: 1 identifiers
opted: 0 identifiers
without: 0 identifiers
EXPECTED
