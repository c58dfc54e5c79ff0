# SPDX-License-Identifier: Apache-2.0
"""memfuse model pull, list, info, verify, against a hub on loopback."""
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from hub_kit import COMMIT, HIDDEN, NAME, Hub, certificate, sha256

LISTED = {"config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "tokenizer_config.json",
          "vocab.txt", "model.safetensors"}


@pytest.fixture
def hub():
    h = Hub()
    yield h
    h.close()


def environment(**more):
    plain = {k: v for k, v in os.environ.items()
             if k not in ("MEMFUSE_HUB", "HF_ENDPOINT") and not k.lower().endswith("_proxy")}
    return {**plain, **more}


def memfuse(*words, cwd, env=None):
    return subprocess.run([os.environ["MEMFUSE_BIN"], "model", *map(str, words)], cwd=cwd, capture_output=True,
                          text=True, timeout=60, check=False, env=environment(**(env or {})))


def pull(hub, cwd, *more):
    return memfuse("pull", NAME, "--base", hub.url, *more, cwd=cwd)


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def pulled(hub, cwd):
    done = pull(hub, cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "models/tiny"


def refused(hub, cwd, *words):
    """The pull fails with these words in its sentence, and no model appears."""
    done = pull(hub, cwd)
    assert done.returncode == 1, done
    assert all(word in done.stderr for word in words), done.stderr
    assert not (cwd / "models/tiny").exists()
    return done


# ---- pull ----

def test_pull_brings_what_is_needed_and_what_the_hub_published(hub, tmp_path):
    done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"models/tiny: {len(LISTED)} files" in done.stdout and COMMIT in done.stdout
    got = files_of(tmp_path / "models/tiny")
    manifest = json.loads(got.pop("memfuse-model.json"))
    assert got == {path: hub.files[path] for path in LISTED}
    assert (manifest["name"], manifest["revision"]) == (NAME, COMMIT)
    assert {f["path"]: (f["bytes"], f["sha256"]) for f in manifest["files"]} == \
        {path: (len(data), sha256(data)) for path, data in got.items()}
    assert hub.paths_asked()[-1] == "model.safetensors" and "pytorch_model.bin" not in hub.paths_asked()
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["tiny"]
    assert "\r" not in done.stderr and "config.json: " in done.stderr


def test_a_terminal_gets_a_bar(hub, tmp_path):
    ours, theirs = pty.openpty()
    words = [os.environ["MEMFUSE_BIN"], "model", "pull", NAME, "--base", hub.url]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, timeout=60, check=False,
                          env=environment())
    os.close(theirs)
    told = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert re.search(r"\r\S*\[#{24}\] 100% .* MiB/s  model\.safetensors", told)
    assert f"\x1b[Kmodel.safetensors: {len(hub.files['model.safetensors'])} bytes" in told


def test_pull_of_what_is_there_asks_for_the_listing_only(hub, tmp_path):
    pulled(hub, tmp_path)
    hub.asked.clear()
    done = pull(hub, tmp_path)
    assert done.returncode == 0 and "is there already" in done.stdout
    assert hub.asked == [("listing", None)]


def test_another_revision_does_not_replace_a_model(hub, tmp_path):
    before = files_of(pulled(hub, tmp_path))
    hub.commit = "feed"
    done = pull(hub, tmp_path)
    assert done.returncode == 1 and "is there already" in done.stderr
    assert files_of(tmp_path / "models/tiny") == before


@pytest.mark.parametrize("name", ["MEMFUSE_HUB", "HF_ENDPOINT"])
def test_the_environment_names_the_hub(hub, tmp_path, name):
    done = memfuse("pull", NAME, "--to", "here/and/there", cwd=tmp_path, env={name: hub.url + "//"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here/and/there/tiny/vocab.txt").exists()


def test_a_broken_download_goes_on_where_it_ended(hub, tmp_path):
    n = len(hub.files["model.safetensors"])
    hub.cut["model.safetensors"] = n // 3
    done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "once more in" in done.stderr
    assert [r for path, r in hub.asked if path == "model.safetensors"] == [None, f"bytes={n // 3}-"]
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == hub.files["model.safetensors"]


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def interrupted(hub, cwd, path="model.safetensors"):
    """Ctrl-C in the middle of the file; the folder where it grows."""
    hub.slow = path
    part = cwd / "models/.tiny.part" / (path + ".part")
    process = subprocess.Popen([os.environ["MEMFUSE_BIN"], "model", "pull", NAME, "--base", hub.url], cwd=cwd,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    wait_for(lambda: part.exists() and part.stat().st_size == len(hub.files[path]) // 2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    hub.slow = None
    hub.go.set()
    assert process.returncode == 1
    assert "stopped; what came is kept in models/.tiny.part" in told
    return part.parent


def test_after_ctrl_c_the_next_pull_takes_up(hub, tmp_path):
    n = len(hub.files["model.safetensors"])
    interrupted(hub, tmp_path)
    assert not (tmp_path / "models/tiny").exists()
    hub.asked.clear()
    done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert hub.asked == [("listing", None), ("model.safetensors", f"bytes={n // 2}-")]
    assert "vocab.txt: " in done.stderr and "from an earlier pull" in done.stderr
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_two_commits_are_never_mixed(hub, tmp_path):
    interrupted(hub, tmp_path)
    hub.commit = "feed"
    hub.files["vocab.txt"] += b"blue\n"
    hub.asked.clear()
    assert files_of(pulled(hub, tmp_path))["vocab.txt"].endswith(b"blue\n")
    assert len(hub.asked) == 1 + len(LISTED) and not any(r for _, r in hub.asked)


def test_a_hub_without_commits_is_begun_anew(hub, tmp_path):
    hub.commit = None
    interrupted(hub, tmp_path)
    hub.asked.clear()
    pulled(hub, tmp_path)
    assert len(hub.asked) == 1 + len(LISTED) and not any(r for _, r in hub.asked)


def test_a_file_changed_after_an_earlier_pull_is_fetched_again(hub, tmp_path):
    part = interrupted(hub, tmp_path)
    (part / "vocab.txt").write_text("something else")
    assert files_of(pulled(hub, tmp_path))["vocab.txt"] == hub.files["vocab.txt"]


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(hub, tmp_path):
    part = interrupted(hub, tmp_path)
    hub.redirects["model.safetensors"] = hub.url + "/elsewhere/model.safetensors"
    hub.chunked.add("model.safetensors")  # 206 without Content-Range is another thing than was asked for
    done = pull(hub, tmp_path)
    assert done.returncode == 1 and "another part" in done.stderr
    (part / "model.safetensors.part").unlink()
    assert files_of(pulled(hub, tmp_path))["model.safetensors"] == hub.files["model.safetensors"]


def test_only_one_pull_of_a_model_at_a_time(hub, tmp_path):
    hub.slow = "vocab.txt"
    words = [os.environ["MEMFUSE_BIN"], "model", "pull", NAME, "--base", hub.url]
    first = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL, env=environment())
    wait_for(lambda: (tmp_path / "models/.tiny.part/vocab.txt.part").exists())
    second = pull(hub, tmp_path)
    assert second.returncode == 1 and "another pull" in second.stderr
    hub.slow = None
    hub.go.set()
    assert first.wait(30) == 0


# ---- checksums ----

def test_a_wrong_checksum_of_the_listing_is_refused(hub, tmp_path):
    good = hub.listing_of_files()
    hub.files["model.safetensors"] = b"\0" + hub.files["model.safetensors"][1:]
    hub.listing = good
    refused(hub, tmp_path, "model.safetensors", "checksum")
    assert not (tmp_path / "models/.tiny.part/model.safetensors.part").exists()


@pytest.mark.parametrize("header", ["X-Linked-ETag", "ETag"])
def test_a_wrong_checksum_of_the_headers_is_refused(hub, tmp_path, header):
    hub.sums = False
    hub.headers["model.safetensors"] = {header: '"' + "0" * 64 + '"'}
    refused(hub, tmp_path, "model.safetensors", "checksum")
    hub.headers["model.safetensors"] = {header: '"' + sha256(hub.files["model.safetensors"]).upper() + '"'}
    done = pull(hub, tmp_path)
    assert done.returncode == 0 and "the hub told checksums of 1" in done.stdout


def test_behind_a_redirect_only_the_hubs_own_word_counts(hub, tmp_path):
    hub.sums = False
    hub.redirects["vocab.txt"] = "/elsewhere/vocab.txt"
    hub.headers["vocab.txt"] = {"X-Linked-ETag": '"' + sha256(hub.files["vocab.txt"]) + '"', "ETag": '"' + "1" * 64 + '"'}
    done = pull(hub, tmp_path)
    assert done.returncode == 0 and "the hub told checksums of 1" in done.stdout


def test_a_length_that_is_not_the_listed_one_is_refused(hub, tmp_path):
    good = hub.listing_of_files()
    hub.files["vocab.txt"] = hub.files["vocab.txt"][:-3]
    hub.listing = good
    refused(hub, tmp_path, "vocab.txt", "bytes came where the hub lists")


# ---- what a bad hub may try ----

@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "a/../../b", "..\\x", "a//b", ""])
def test_a_name_that_leaves_the_folder_is_refused(hub, tmp_path, name):
    hub.more_names = [name]
    refused(hub, tmp_path, "leaves its folder")
    assert hub.paths_asked() == ["listing"] and not (tmp_path / "models").exists()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://192.0.2.1/x", "gopher://127.0.0.1/",
                                     "http://127.0.0.1.example/x", "http://user@127.0.0.1/x", "https://"])
def test_a_redirect_to_another_protocol_is_refused(hub, tmp_path, address):
    hub.redirects["vocab.txt"] = address
    done = refused(hub, tmp_path, "vocab.txt", "redirect")
    assert "once more" not in done.stderr


def test_a_redirect_below_the_hub_is_followed_but_no_circle(hub, tmp_path):
    hub.redirects["vocab.txt"] = "/elsewhere/vocab.txt"
    pulled(hub, tmp_path)
    hub.redirects["vocab.txt"] = f"/{NAME}/resolve/{COMMIT}/vocab.txt"
    done = pull(hub, tmp_path, "--to", "other")
    assert done.returncode == 1 and "redirects more than 5 times" in done.stderr


@pytest.mark.parametrize("is_chunked", [False, True])
def test_more_than_the_bound_is_refused(hub, tmp_path, is_chunked):
    hub.sums = False
    hub.files["config.json"] = b"{" + b" " * 1024 * 1024 + b"}"
    if is_chunked:
        hub.chunked.add("config.json")
    refused(hub, tmp_path, "config.json", "more than the 1048576 bytes")


def test_a_listing_beyond_its_bound_is_refused(hub, tmp_path):
    hub.listing = b'{"siblings": [' + b" " * 4 * 1024 * 1024 + b"]}"
    refused(hub, tmp_path, "more than the")


@pytest.mark.parametrize("listing", [b"<html>", b"{}", b'{"siblings": [{"rfilename": "config.json"}]}'])
def test_an_answer_that_is_no_listing_is_refused(hub, tmp_path, listing):
    hub.listing = listing
    refused(hub, tmp_path, NAME)


# ---- statuses ----

def test_500_is_tried_again_and_then_works(hub, tmp_path):
    hub.failures = {"listing": [503], "vocab.txt": [500, 500]}
    done = pull(hub, tmp_path)
    assert done.returncode == 0 and done.stderr.count("once more in") == 3


def test_500_for_ever_ends(hub, tmp_path):
    hub.failures = {"vocab.txt": [500] * 10}
    refused(hub, tmp_path, "vocab.txt", "status 500")
    assert len(hub.failures["vocab.txt"]) == 6


@pytest.mark.parametrize("status, word", [(404, "does not have it"), (401, "who you are"), (403, "who you are"),
                                          (400, "status 400")])
def test_a_refusal_is_not_tried_again(hub, tmp_path, status, word):
    hub.failures = {"listing": [status]}
    done = refused(hub, tmp_path, NAME, word)
    assert hub.asked == [("listing", None)] and "once more" not in done.stderr


def test_nobody_listens(hub, tmp_path):
    hub.close()
    done = refused(hub, tmp_path, NAME)
    assert done.stderr.count("once more in") == 3


# ---- TLS ----

@pytest.fixture
def tls(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    h = Hub(certificate(folder))
    h.known = {"SSL_CERT_FILE": str(folder / "cert.pem")}
    yield h
    h.close()


def test_https_asks_for_a_certificate_that_is_known(tls, tmp_path):
    done = refused(tls, tmp_path, "TLS: ")
    assert "once more" not in done.stderr and tls.asked == []
    done = memfuse("pull", NAME, "--base", tls.url, cwd=tmp_path, env=tls.known)
    assert done.returncode == 0, done.stderr


def test_https_never_becomes_http(hub, tls, tmp_path):
    tls.redirects["vocab.txt"] = hub.url + "/elsewhere/vocab.txt"
    done = memfuse("pull", NAME, "--base", tls.url, cwd=tmp_path, env=tls.known)
    assert done.returncode == 1 and "http:// is not taken" in done.stderr and hub.asked == []


def test_the_proxy_of_the_environment_counts_but_not_on_plain_loopback(hub, tls, tmp_path):
    nobody = {"https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    done = memfuse("pull", NAME, "--base", tls.url, cwd=tmp_path, env={**tls.known, **nobody})
    assert done.returncode == 1 and tls.asked == []
    done = memfuse("pull", NAME, "--base", hub.url, cwd=tmp_path, env=nobody)
    assert done.returncode == 0, done.stderr


# ---- usage ----

@pytest.mark.parametrize("words", [[], ["fetch"], ["pull"], ["pull", NAME], ["pull", NAME, "more", "--base", "x"],
                                   ["pull", NAME, "--base"], ["pull", "--loud", NAME], ["list", "x"], ["info"],
                                   ["info", "a", "--all"], ["verify"], ["verify", "a", "b"]])
def test_usage(tmp_path, words):
    done = memfuse(*words, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["../x"], ["a/b/c"], ["a b"], [NAME, "--revision", "../main"], [NAME, "--to", ""]])
def test_bad_names_ask_nobody(hub, tmp_path, words):
    done = memfuse("pull", *words, "--base", hub.url, cwd=tmp_path)
    assert done.returncode == 1
    assert not any(path != "listing" for path in hub.paths_asked()) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("base", ["http://192.0.2.7", "file:///srv", "nothing at all", "https://me:secret@localhost", ""])
def test_bases_that_are_not_taken(tmp_path, base):
    done = memfuse("pull", NAME, "--base", base, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("memfuse: ")
    assert "secret" not in done.stderr and list(tmp_path.iterdir()) == []


# ---- list, info, verify ----

def test_list_and_info_tell_what_it_is(hub, tmp_path):
    assert memfuse("list", cwd=tmp_path).stdout == "no models in models\n"
    folder = pulled(hub, tmp_path)
    head, line = memfuse("list", cwd=tmp_path).stdout.splitlines()
    assert head.split() == ["name", "dims", "size", "revision"]
    assert line.split() == ["tiny", str(HIDDEN), "0.0", "MiB", COMMIT[:12]]
    done = memfuse("info", folder, "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == ""
    assert {k: told[k] for k in ("architecture", "layers", "dims", "window", "pooling", "dtype", "vocabulary")} == \
        {"architecture": "bert", "layers": 1, "dims": HIDDEN, "window": 16, "pooling": "mean", "dtype": "float32",
         "vocabulary": 8}
    assert told["revision"] == sha256(hub.files["model.safetensors"])
    rows = dict(line.split(maxsplit=1) for line in memfuse("info", folder, cwd=tmp_path).stdout.splitlines())
    assert rows == {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in told.items()}


def test_verify_finds_a_flipped_byte_in_every_file(hub, tmp_path):
    folder = pulled(hub, tmp_path)
    done = memfuse("verify", folder, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count(": ok\n") == len(LISTED) + 3
    for path in LISTED:
        good = (folder / path).read_bytes()
        at = len(good) // 2
        (folder / path).write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        done = memfuse("verify", folder, cwd=tmp_path)
        assert done.returncode == 1 and f"{path}: BAD: " in done.stdout
        assert done.stdout.endswith(f"{folder}: BAD\n")
        (folder / path).write_bytes(good)
    assert memfuse("verify", folder, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("path, part", [("model.safetensors", "weights"), ("vocab.txt", "tokenizer")])
def test_verify_names_what_is_cut_short_or_gone(hub, tmp_path, path, part):
    folder = pulled(hub, tmp_path)
    good = (folder / path).read_bytes()
    (folder / path).write_bytes(good[:-1] if part == "weights" else b"")
    (folder / "memfuse-model.json").unlink()
    told = memfuse("verify", folder, cwd=tmp_path)
    assert told.returncode == 1 and "no sums to compare with" in told.stdout and f"{part}: BAD: " in told.stdout
    (folder / path).unlink()
    told = memfuse("verify", folder, cwd=tmp_path)
    assert told.returncode == 1 and f"{part}: BAD: " in told.stdout


def test_verify_knows_the_default_model_by_its_name(hub, tmp_path):
    folder = pulled(hub, tmp_path)
    (folder / "memfuse-model.json").unlink()
    folder = folder.rename(folder.parent / "all-MiniLM-L6-v2")
    told = memfuse("verify", folder, cwd=tmp_path)
    assert told.returncode == 1 and "model.safetensors: BAD: " in told.stdout and "90868376 are expected" in told.stdout


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_a_folder_that_is_none(tmp_path, verb):
    done = memfuse(verb, "nowhere", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and "nowhere" in done.stderr
