//! Shells: what they print themselves, and what their children do.

use crate::case::{Case, by};
use crate::check;

const PRINTING: &str =
    "echo one; printf '%s-%d\\n' a 1 b 2; echo -n 'in two '; echo parts; printf 'bad\\n' >&2; echo out >&1
cat <<END
here $((1 + 1))
END
for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; { echo grouped; echo grouped too >&2; }; pwd; printf 'no newline'";
pub(super) const CHILDREN: &str =
    "echo parent; (echo subshell; (echo deeper)); x=$(echo inner; echo inner error >&2); echo \"$x\"
echo piped | tr a-z A-Z; /bin/echo external; (sleep 0.1; echo in the background) & wait; echo last | cat | cat >&2
exec 3>&1; echo three >&3; exec 3>&-; exec /bin/echo exec";
const COMPLAINTS: &str =
    "no_such_program; cd /no/such/folder; echo x > /no/such/file; kill -9 999999999; test 1 -eq x; readonly r=1
(sh -c 'kill -9 $$'); export 2x=1; unset r";
const TRACED: &str =
    "set -x -v; x=1; echo traced $x; f() { echo in f >&2; }; f; [ -n \"$x\" ] && echo yes; eval 'echo e'";

pub const BASH: &[Case] = &[
    Case::script("bash", "echo, printf, here documents, groups", "stdio, write", by::BASH, PRINTING),
    Case::script(
        "bash",
        "subshells, pipelines, substitutions, background jobs, exec",
        "stdio, write",
        by::BASH,
        CHILDREN,
    ),
    Case::script("bash", "its own complaints", "stdio", by::BASH, COMPLAINTS),
    Case::script("bash", "a syntax error", "stdio", by::BASH, "echo a; if then"),
    Case::script("bash", "set -x, set -v", "stdio", by::BASH, TRACED),
    Case::script(
        "bash",
        "time, trap, declare, help, process substitution, coproc",
        "stdio",
        by::BASH,
        "time true; trap 'echo trapped' EXIT; declare -p BASH; help true; printf -v v x; echo $v
echo to >(cat)
coproc { echo from coproc; }; read -r line <&${COPROC[0]}; echo $line; wait
echo a >&2 2>&1; ulimit -n; jobs; type cd",
    ),
    Case::script(
        "bash",
        "streams swapped and closed",
        "stdio",
        by::BASH,
        "echo swapped 3>&2 2>&1 1>&3; echo both &>/dev/null; echo closed >&-
{ echo err; } 1>&2; ls /no/such 2>&1; echo end",
    ),
    Case::script("bash", "env -i", "stdio", by::BASH, "echo before; env -i /bin/echo without; echo after"),
    Case::new("bash", "a script with a #! line", "stdio", &["{dir}/script"]).prepare(
        "printf '#!/bin/bash\\necho \"$0\" \"$@\"; ./other\\n' >script
printf 'echo other\\n' >other; chmod +x script other",
    ),
];

pub const DASH: &[Case] = &[
    Case::script("dash", "echo, printf, here documents, groups", "write", by::DASH, PRINTING),
    Case::script(
        "dash",
        "subshells, pipelines, substitutions, background jobs, exec",
        "stdio, write",
        by::DASH,
        CHILDREN,
    ),
    Case::script("dash", "its own complaints", "write", by::DASH, COMPLAINTS),
    Case::script("dash", "a syntax error", "write", by::DASH, "echo a; if then"),
    Case::script("dash", "set -x, set -v", "write", by::DASH, TRACED),
    Case::script(
        "dash",
        "times, trap, set",
        "write",
        by::DASH,
        "trap 'echo trapped' EXIT; times; type cd; set; umask; ulimit -n",
    ),
];

#[test]
fn bash() {
    check(BASH);
}

#[test]
fn dash() {
    check(DASH);
}
