//! The tools that everybody has.

use crate::case::{Case, by};
use crate::{check, check_with, server};

const FILES: &str = "mkdir a; echo text >a/b; seq 300 >numbers
printf 'one two\\nthree\\n' >words; printf '\\0\\1\\377' >bytes; touch 'a b'";

pub const COREUTILS: &[Case] = &[
    tools("ls -la, --color, -R", "stdio", by::SH, "ls -1; ls --color=always a; ls -R; ls -m numbers words"),
    tool("ls: errors", "stdio", &["ls", "--bad"]),
    tool("ls: a file that is not there", "stdio", &["ls", "/no/such", "numbers"]),
    tools("cat, a large file", "write", by::SH, "seq 40000 >large; cat large"),
    tool("cat, several, and what is not there", "stdio, write", &["cat", "-n", "words", "/no/such", "bytes"]),
    tool("seq, large", "stdio", &["seq", "20000"]),
    tools(
        "sort, uniq, cut, tr, paste, join",
        "stdio",
        by::SH,
        "sort -rn numbers; uniq -c words; cut -d' ' -f1 words; tr a-z A-Z <words; paste words numbers
join words words",
    ),
    tools(
        "head, tail, tac, nl, fold, fmt, pr, split, shuf",
        "stdio",
        by::SH,
        "head -3 numbers; tail -3 numbers; tac words; nl words; fold -w3 words; fmt words; pr words; shuf -i 1-1
csplit words 2",
    ),
    tools(
        "wc, stat, od, md5sum, sha256sum, cksum, base64",
        "stdio",
        by::SH,
        "wc numbers words; stat -c %s words; od -c bytes; md5sum words; sha256sum words; cksum words
base64 bytes",
    ),
    tool("dd and what it says", "stdio, write", &["dd", "if=numbers", "bs=100", "count=3"]),
    tools("tee", "stdio", by::SH, "seq 3000 | tee copy; seq 3 | tee /dev/stderr"),
    tools("yes | head", "stdio", by::SH, "yes word | head -n 2000"),
    tools(
        "yes into a pipe that closes",
        "stdio, write",
        by::SH,
        "(yes; echo $? >&2) | head -n 1; seq 100000 | head -n 2",
    ),
    tools(
        "env, printenv, id, date, uname, echo, printf, pwd, factor, expr",
        "stdio, write",
        by::SH,
        "env -u X true; printenv HOME; id -u; date -u -d @0; uname; /bin/echo -e 'a\\tb'
/usr/bin/printf '%q' 'a b'; /bin/pwd; factor 12 30; expr 1 + 1",
    ),
    tools(
        "cp -v, mv -v, rm -v, mkdir -v, chmod -v, ln -v",
        "stdio",
        by::SH,
        "cp -v words w; mv -v w v; rm -v v; mkdir -v d; chmod -v 700 d; ln -sv d e; rmdir -v d; readlink e",
    ),
    tools(
        "their complaints",
        "stdio",
        by::SH,
        "cp; mv words; rm /no/such; mkdir a; head -x; sort --bad; chmod 999 words; date -d nonsense
dd if=/no/such; sleep x",
    ),
    tools("--help and --version", "stdio", by::SH, "cat --help; ls --version; sort --help"),
    tools(
        "stdbuf, nohup, timeout, nice, setsid, xargs",
        "stdio",
        by::SH,
        "stdbuf -o0 seq 3; nohup echo n; timeout 5 echo t; nice echo i; setsid -w echo s
seq 5 | xargs -n2 echo x",
    ),
    tools("df, du, who, tty, nproc", "stdio", by::SH, "df /; du -a a; who; tty; nproc"),
];

const fn tool(what: &'static str, ways: &'static str, command: &'static [&'static str]) -> Case {
    Case::new("coreutils", what, ways, command).prepare(FILES)
}

const fn tools(what: &'static str, ways: &'static str, shell: &'static [&'static str], script: &'static str) -> Case {
    Case::script("coreutils", what, ways, shell, script).prepare(FILES)
}

pub const TEXT: &[Case] = &[
    Case::script(
        "grep",
        "-n, -r, -c, -o, --color, errors",
        "stdio",
        by::SH,
        "grep -n 1 numbers; grep -r text .; grep -c 2 numbers; grep -o o words; grep --color=always two words
grep '[' words; grep x /no/such; grep -z . bytes",
    )
    .prepare(FILES),
    Case::script(
        "sed",
        "s, p, a, =, l, w /dev/stdout, errors",
        "stdio",
        by::SH,
        "sed 's/o/0/' words; sed -n '$p' numbers; sed 'a x' words; sed = words; sed -n l bytes
sed 'w /dev/stdout' words; sed 'y/a/'; sed x /no/such",
    )
    .prepare(FILES),
    Case::script(
        "awk",
        "print, printf, system, /dev/stderr, errors",
        "stdio, write",
        by::SH,
        "awk '{print $1; printf \"%s-\", $1} END {print NR > \"/dev/stderr\"; system(\"echo s\")
print \"c\" | \"cat\"}' words; awk '{' words; awk 1 /no/such",
    )
    .prepare(FILES),
    Case::script(
        "find",
        "-print, -printf, -print0, -ls, -exec, errors",
        "stdio",
        by::SH,
        "find . | sort; find a -printf '%f\\n'; find a -print0; find a -exec echo {} +; find a -exec echo {} ';'
find /no/such; find -bad",
    )
    .prepare(FILES),
    Case::script(
        "diff",
        "-u, cmp, errors",
        "stdio",
        by::SH,
        "diff -u words numbers; cmp words numbers; diff words /no/such; diff -q words bytes",
    )
    .prepare(FILES),
];

const REPOSITORY: &str = "git init -q -b main r; cd r
for i in 1 2 3; do seq $i 40 >f; git add f; git commit -qm \"commit $i\"; done; echo more >>f; echo new >g";

pub const GIT: &[Case] = &[
    Case::script(
        "git",
        "log, status, diff, show, branch",
        "stdio",
        by::SH,
        "cd r; git log; git log --oneline --graph; git status; git diff; git show --stat; git branch -v
git -c color.ui=always diff",
    )
    .prepare(REPOSITORY),
    Case::script(
        "git",
        "commit, checkout, merge, tag, stash, grep, blame",
        "stdio, write",
        by::SH,
        "cd r; git commit -am m; git checkout -b b; git tag -a -m t v1; git stash; git grep -n 1
git blame -s f | head -n 3; git merge main; git ls-files -s; git cat-file -p HEAD",
    )
    .prepare(REPOSITORY),
    Case::script(
        "git",
        "clone, fetch, gc, fsck",
        "stdio",
        by::SH,
        "git clone --progress r c; cd c; git fetch --all; git gc; git fsck; git archive HEAD | tar tf -
git format-patch -1 --stdout",
    )
    .prepare(REPOSITORY),
    Case::script(
        "git",
        "its complaints",
        "stdio, write",
        by::SH,
        "git nonsense; git -C r checkout nothing; git -C r log -- ; git -C r push; git -C / status; git",
    )
    .prepare(REPOSITORY),
    Case::script(
        "git",
        "a pager, a hook, an alias",
        "stdio, write",
        by::SH,
        "cd r; printf '#!/bin/sh\\necho hook; echo hook >&2\\n' >.git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
git commit -qam m; git config alias.x '!echo alias'; git x
git -c core.pager='sed s/^/:/' -p log -1 --format=%s",
    )
    .prepare(REPOSITORY),
];

pub const TAR: &[Case] = &[
    Case::new("tar", "cf -, an archive", "write", &["tar", "cf", "-", "a", "numbers"]).prepare(FILES),
    Case::script(
        "tar",
        "cvf, tvf, xvf, errors",
        "stdio",
        by::SH,
        "tar cvf x.tar a words; tar tvf x.tar --full-time -v >list; tar tf x.tar; tar xvf x.tar
tar cf y.tar /no/such; tar xf /no/such; tar",
    )
    .prepare(FILES),
    Case::script(
        "tar",
        "czf -, gzip, gunzip",
        "stdio, write",
        by::SH,
        "tar czf - numbers; gzip -c numbers; gzip -v numbers; zcat numbers.gz",
    )
    .prepare(FILES),
];

const MAKEFILE: &str = "cat >Makefile <<'END'
all: a b c d
a b c d:
\t@echo begin $@
\techo end $@; echo err $@ >&2
bad:
\tfalse
info:
\t$(info i)$(warning w)@true
END";

pub const MAKE: &[Case] = &[
    Case::new("make", "one after the other", "stdio, write", &["make"]).prepare(MAKEFILE),
    Case::new("make", "-j4", "stdio, write", &["make", "-j4"]).prepare(MAKEFILE),
    Case::new("make", "-j4 -O", "stdio", &["make", "-j4", "-O"]).prepare(MAKEFILE),
    Case::script(
        "make",
        "errors, info, warning, -n, -d",
        "stdio, write",
        by::SH,
        "make bad; make info; make nothing; make -n; make -d a; make -C /no/such",
    )
    .prepare(MAKEFILE),
];

pub const COMPILERS: &[Case] = &[
    Case::new("cc", "errors and warnings", "stdio", &["cc", "-Wall", "-c", "bad.c"])
        .prepare("printf 'int f(void) { int x; return y; }\\nint g(' >bad.c"),
    Case::script(
        "cc",
        "errors of the linker, -v, -E",
        "stdio",
        by::SH,
        "cc x.c; cc -v x.c; cc -E x.c; cc /no/such.c; cc -S -o - x.c",
    )
    .prepare("echo 'int f(void) { return 1; }' >x.c"),
    Case::new("rustc", "errors", "write", &["rustc", "bad.rs"])
        .prepare("echo 'fn main() { let x: u8 = \"\"; }' >bad.rs"),
];

pub const CURL: &[Case] = &[
    Case::script(
        "curl",
        "a page, headers, progress, errors",
        "stdio",
        by::SH,
        "curl -s {url}/page; curl -si {url}/page; curl -v {url}/page; curl {url}/large
curl -S -s http://127.0.0.1:1/; curl --bad; curl -s -w '%{http_code}\\n' {url}/none",
    )
    .needs(&["curl"]),
    Case::script(
        "wget",
        "a page, what it says",
        "stdio",
        by::SH,
        "wget -O - {url}/page; wget -nv {url}/large; wget {url}/none",
    )
    .needs(&["wget"]),
];

pub const OTHERS: &[Case] = &[
    Case::new(
        "gdb",
        "batch mode",
        "stdio",
        &[
            "gdb",
            "-nx",
            "-batch",
            "-ex",
            "break main",
            "-ex",
            "info functions printing",
            "-ex",
            "list",
            "-ex",
            "print 1 + 1",
            "-ex",
            "bad",
            "{bin}/prints",
        ],
    )
    .needs(&["{bin}/prints"]),
    Case::script(
        "openssl",
        "version, dgst, rand, genrsa, errors",
        "stdio",
        by::SH,
        "openssl version; openssl dgst words; openssl rand -hex 8; openssl genrsa 512 2>&1
openssl x509 -in /no/such; openssl bad",
    )
    .prepare(FILES)
    .needs(&["openssl"]),
    Case::script(
        "jq",
        "values, colours, errors",
        "stdio",
        by::SH,
        "echo '{\"a\": [1, 2]}' >x; jq . x; jq -c .a x; jq -C . x; jq -r '.a[]' x; jq -j .a x; jq . words
jq '.[' x; jq '.a | stderr' x",
    )
    .prepare(FILES)
    .needs(&["jq"]),
    Case::script(
        "sqlite3",
        "a table, errors",
        "stdio",
        by::SH,
        "sqlite3 :memory: 'create table t(a, b); insert into t values (1, 2); select * from t; select x'
sqlite3 -json :memory: 'select 1 as a'",
    )
    .needs(&["sqlite3"]),
    Case::script(
        "ps",
        "a list, an error",
        "stdio",
        by::SH,
        "ps -o comm= -p $$; ps --bad; free -b >/dev/null; uptime >/dev/null; pgrep -x no-such",
    )
    .needs(&["ps"]),
    Case::new("script", "a terminal inside", "write", &["script", "-qec", "echo inside; echo err >&2", "/dev/null"]),
    Case::new("tclsh", "puts, an error", "write", &["tclsh", "x.tcl"])
        .prepare("printf 'puts hello\\nputs stderr err\\nputs -nonewline x\\nflush stdout\\nerror bad' >x.tcl"),
    Case::new(
        "ruby",
        "puts, warn, raise",
        "stdio, write",
        &["ruby", "-e", "puts 'p'; warn 'w'; $stdout.write('a', \"b\\n\"); print 'x'; raise 'r'"],
    ),
    Case::new(
        "php",
        "echo, error_log, an error",
        "stdio, write",
        &["php", "-r", "echo \"e\\n\"; error_log('l'); fwrite(STDERR, \"f\\n\"); nothing();"],
    ),
    Case::new(
        "lua",
        "print, io.stderr, error",
        "stdio",
        &["lua", "-e", "print('p'); io.stderr:write('e\\n'); io.write('w'); error('x')"],
    ),
    Case::new(
        "zsh",
        "echo, print, complaints",
        "stdio, write",
        &["zsh", "-fc", "echo e; print -u2 p; (echo s); echo a | cat; no_such; set -x; echo x"],
    ),
    Case::new("systemctl", "complaints", "stdio", &["systemctl", "--no-such-option"]),
    Case::script("ip", "a list, a complaint", "stdio", by::SH, "ip -o link show lo; ip nonsense").needs(&["ip"]),
];

#[test]
fn coreutils() {
    check(COREUTILS);
}

#[test]
fn text_tools() {
    check(TEXT);
}

#[test]
fn git() {
    check(GIT);
}

#[test]
fn tar() {
    check(TAR);
}

#[test]
fn make() {
    check(MAKE);
}

#[test]
fn compilers() {
    check(COMPILERS);
}

#[test]
fn curl() {
    check_with(CURL, &server::start());
}

#[test]
fn others() {
    check(OTHERS);
}
