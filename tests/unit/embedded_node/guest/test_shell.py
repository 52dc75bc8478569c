# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's shell: a table of scripts and what they print, agreed with dash where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t

import pytest

from embedded_node.guest.runtime import Completed
from embedded_node.guest.shell import Shell
from embedded_node.state.rootfs import GuestFiles

if t.TYPE_CHECKING:
    from pathlib import Path


class Machine:
    """A host whose commands are this machine's."""

    def __init__(self, root: Path) -> None:
        self.files = GuestFiles(root)
        self.spawned: list[tuple[str, dict[str, t.Any]]] = []

    def run(
        self, argv: t.Sequence[str], stdin: bytes, place: str, environment: t.Mapping[str, str] | None = None
    ) -> Completed:
        folder, variables = self.files.resolve(place), {**os.environ, **(environment or {})}
        done = subprocess.run(argv, input=stdin, capture_output=True, cwd=folder, env=variables, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def knows(self, name: str) -> bool:
        return shutil.which(name) is not None

    def spawn(self, script: str, memory: dict[str, t.Any]) -> int:
        self.spawned.append((script, memory))
        return 77

    def alive(self) -> bool:
        return True


SCRIPTS = [
    ('echo "a  b"   c', (0, "a  b c\n")),
    ("x=1; y=$((x+2*3)); echo $y $((7/2)) $((7%3)) $((1<2)) $((x==1&&0)) $((010))", (0, "7 3 1 1 0 8\n")),
    ('for i in 1 2 3; do echo "n$i"; done', (0, "n1\nn2\nn3\n")),
    ("if false; then echo a; elif true; then echo b; else echo c; fi", (0, "b\n")),
    ("false && echo no || echo yes", (0, "yes\n")),
    ('a="x y"; for w in $a "$a"; do echo "[$w]"; done', (0, "[x]\n[y]\n[x y]\n")),
    ("f() { echo f:$1:$#; return 3; }; f one two; echo $?", (0, "f:one:2\n3\n")),
    ("case abc in x|a*) echo A;; *) echo B;; esac", (0, "A\n")),
    ("printf 'a\\r\\nb\\r' > raw; wc -c < raw; X=1 env | grep ^X=; export Y=2; env | grep ^Y=", (0, "5\nX=1\nY=2\n")),
    ("echo ${u:-def} ${u-d2} ${#x}; u=val; echo ${u:+set} ${u%l} ${u#v}", (0, "def d2 0\nset va al\n")),
    ("p=/a/b/c.txt; echo ${p##*/} ${p%/*} ${p%%.*}", (0, "c.txt /a/b /a/b/c\n")),
    ("cat <<EOF\nhi $((1+1))\n$nope done\nEOF\necho after", (0, "hi 2\n done\nafter\n")),
    ("cat <<'EOF'\nhi $x `y`\nEOF", (0, "hi $x `y`\n")),
    ("cat <<-EOF\n\tindented\n\tEOF", (0, "indented\n")),
    ("cat <<A; cat <<B\nfirst\nA\nsecond\nB", (0, "first\nsecond\n")),
    ("echo one > f; echo two >> f; cat < f | tr a-z A-Z", (0, "ONE\nTWO\n")),
    ("(echo sub; exit 4); echo $?", (0, "sub\n4\n")),
    ("{ echo g1; echo g2; } > f; cat f", (0, "g1\ng2\n")),
    ("printf '%s-%s\\n' a b c; printf '%03d %x\\n' 7 255", (0, "a-b\nc-\n007 ff\n")),
    ('x=$(echo a; echo b); echo "$x"; echo $x', (0, "a\nb\na b\n")),
    ('while read a b; do echo "$b,$a"; done <<E\n1 2 3\n4 5\nE', (0, "2 3,1\n5,4\n")),
    ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", (0, "1\n3\n")),
    ("for i in 1 2; do for j in a b; do [ $j = b ] && continue 2; echo $i$j; done; done", (0, "1a\n2a\n")),
    ('set -- a "b c" d; echo $# "$2"; shift; for q in "$@"; do echo "<$q>"; done', (0, "3 b c\n<b c>\n<d>\n")),
    ("[ ! -e nope ] && [ -d / ] && [ a = a -a 1 -lt 2 ] && echo all", (0, "all\n")),
    ("set -e; false || true; if false; then :; fi; echo reached; false; echo not", (1, "reached\n")),
    ("set -e; x=$(false); echo not", (1, "")),
    ("! true; echo $?", (0, "1\n")),
    ("echo 'a $x' \"b \\$x \\\"q\\\"\" c\\ d", (0, 'a $x b $x "q" c d\n')),
    ("v=1; (v=2); echo $v; v=3 : ; echo x | { read v; }; echo $v", (0, "1\n3\n")),
    ("v=1; IFS=: read -r a b < /dev/null; v=2 true; IFS= read -r c < /dev/null; echo $v \"$IFS\"", (0, "1  \t\n\n")),
    ('f() { echo $#; for z in "$@"; do echo "<$z>"; done; }; f; f ""; shift 0; set --; f "$@"', (0, "0\n1\n<>\n0\n")),
    ("{ x=$( (echo out; echo err >&2) 2>&1 >&3 ); } 3>&1; echo got $x", (0, "out\ngot err\n")),
    ('echo "$(echo "nested $(echo deep)")" `echo old`', (0, "nested deep old\n")),
    ("IFS=:; w=a:b:c; for z in $w; do echo $z; done", (0, "a\nb\nc\n")),
    ("f() { local a=1; echo $a; }; a=9; f; echo $a", (0, "1\n9\n")),
    ("f() { for i in 1 2; do return 7; done; }; f; echo $?", (0, "7\n")),
    ("echo a;echo b&&echo c # comment\necho d", (0, "a\nb\nc\nd\n")),
    ("touch k1 k2; echo k* z* 'k'*; rm k?; echo k*", (0, "k1 k2 z* k1 k2\nk*\n")),
    ("mkdir d; touch d/x d/y; for file in d/*; do echo ${file##*/}; done", (0, "x\ny\n")),
    ("eval 'echo ev'; exit 5; echo no", (5, "ev\n")),
    (": ${x:=set}; echo $x", (0, "set\n")),
    ("{ echo out; echo err >&2; } 2>/dev/null", (0, "out\n")),
    ("echo hidden 1>&2 2>/dev/null; echo shown", (0, "shown\n")),
    ("fail() { rc=$1; shift; echo \"f: $*\"; exit \"$rc\"; }; fail 66 a b; echo no", (66, "f: a b\n")),
    ("cat > lib <<'E'\nput() { echo put; }\nE\n. ./lib; put", (0, "put\n")),
    ("case \"a b\" in 'a b') echo quoted;; esac; case a in [!b]) echo not-b;; esac", (0, "quoted\nnot-b\n")),
    ("nosuchcommand_x 2>/dev/null; echo $?", (0, "127\n")),
    ("if [ \"$x\" ]; then echo set; else echo unset; fi", (0, "unset\n")),
    ("x='a  b'; echo $x; echo \"$x\"", (0, "a b\na  b\n")),
    ("until [ -e stop ]; do touch stop; echo once; done", (0, "once\n")),
]  # fmt: skip


@pytest.mark.parametrize(("script", "answer"), SCRIPTS)
def test_scripts(tmp_path: Path, script: str, answer: tuple[int, str]) -> None:
    rc, out, _other = Shell(Machine(tmp_path)).run(script)
    assert (rc, out) == answer


@pytest.mark.skipif(shutil.which("dash") is None, reason="no dash")
@pytest.mark.parametrize(("script", "answer"), SCRIPTS)
def test_dash_agrees(tmp_path: Path, script: str, answer: tuple[int, str]) -> None:
    """Scripts that no POSIX shell would run so have no place in the table."""
    surroundings = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["dash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=surroundings, check=False
    )
    assert (done.returncode, done.stdout) == answer


@pytest.mark.parametrize(
    "script", ["if true; then", "echo 'open", "( echo", "case x in", "echo $(", "a &&", ";;", "fi"]
)
def test_what_cannot_be_understood_is_an_error(tmp_path: Path, script: str) -> None:
    rc, _other, err = Shell(Machine(tmp_path)).run(script)
    assert rc == 2
    assert err.startswith("ash: ")


def test_messages_are_the_shells_own(tmp_path: Path) -> None:
    shell = Shell(Machine(tmp_path))
    assert shell.run("nosuchcommand_x")[2] == "ash: nosuchcommand_x: not found\n"
    assert shell.run("echo x > /no/such")[2] == "ash: can't create /no/such: nonexistent directory\n"
    assert shell.run("cat < /no/such")[2] == "ash: can't open /no/such: no such file\n"
    assert shell.run("sleep 0.1") == (1, "", "sleep: invalid number '0.1'\n")


def test_a_background_job_takes_its_surroundings_along(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    rc, out, _other = Shell(machine).run(
        "x=5; f() { echo $1; }\n( sleep 3; f $x ) < /dev/null > /tmp/o 2>&1 &\necho $!"
    )
    assert (rc, out) == (0, "77\n")
    ((script, memory),) = machine.spawned
    again = Shell(machine)
    again.remember(memory)
    assert again.run(script.replace("sleep 3;", "").replace("> /tmp/o 2>&1", ""))[1] == "5\n"


def test_paths_stay_in_the_guest(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/out").symlink_to("/etc/inside")
    (tmp_path / "up").symlink_to("../../../../etc")
    assert Shell(Machine(tmp_path)).run("echo x > /etc/out; echo y > /up/z; echo w > ../../../v")[0] == 0
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["inside", "v", "z"]
