//! The commands that are run with and without us. Each is a line for a shell.

/// How a command's output is made comparable.
#[derive(Clone, Copy, PartialEq)]
pub enum Mask {
    Nothing,
    /// It prints pids, addresses or times.
    Numbers,
    /// Several processes print at once: lines come in any order.
    Order,
}

#[derive(Clone, Copy)]
pub struct Case {
    pub script: &'static str,
    pub shell: &'static str,
    pub needs: &'static [&'static str],
    pub mask: Mask,
    /// Part of what it prints goes around every hook, so not even `--quiet` keeps it away.
    pub is_loud: bool,
    /// It dies with text in its buffer, which line buffering is there to save.
    pub loses: bool,
}

const fn sh(script: &'static str) -> Case {
    Case { script, shell: "sh", needs: &[], mask: Mask::Nothing, is_loud: false, loses: false }
}

const fn bash(script: &'static str) -> Case {
    Case { shell: "bash", ..sh(script) }
}

impl Case {
    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    const fn numbers(self) -> Self {
        Self { mask: Mask::Numbers, ..self }
    }

    const fn any_order(self) -> Self {
        Self { mask: Mask::Order, ..self }
    }

    const fn loud(self) -> Self {
        Self { is_loud: true, ..self }
    }

    const fn loses(self) -> Self {
        Self { loses: true, ..self }
    }
}

/// What shells do to descriptors, processes and signals.
pub const SHELLS: &[Case] = &[
    sh("true"),
    sh("exit 3"),
    sh("kill -TERM $$"),
    sh("kill -SEGV $$"),
    sh("kill -KILL $$"),
    sh("(kill -ABRT $BASHPID$$) 2>&1; echo $?").numbers(),
    sh("echo a; echo b >&2; printf 'no newline'"),
    sh("seq 1 100000 | head -n 3"),
    sh("yes | head -n 1000 | wc -l"),
    sh("exec 1>&-; echo x"),
    sh("exec 2>&-; ls /nowhere; echo $?"),
    sh("exec 3>&1 1>&2; echo x; echo y >&3"),
    sh("no-such-command; echo $?"),
    sh("/; echo $?; ./nothing; echo $?"),
    sh("trap 'echo trapped' TERM; kill -TERM $$; echo on; trap 'echo leaving' EXIT; exit 4"),
    sh("trap '' PIPE; seq 1 100000 | true; echo done"),
    sh("echo 'echo a script; exit 6' > s; chmod +x s; ./s; echo $?"),
    sh("printf '#!/bin/cat\\ntext\\n' > s; chmod +x s; ./s"),
    sh("(echo one; exec echo two) | cat; echo three | tee copy >&2; cat copy"),
    sh("umask 027; touch f; stat -c %a f; cd /; pwd; nice -n 5 nice"),
    sh("ulimit -f 1; (yes > big) 2>&1; echo $?").loud(),
    sh("ulimit -n 5; cat /etc/hostname | wc -l; ulimit -n"),
    sh("ulimit -v 400000; echo limited; ulimit -v"),
    sh("ulimit -c 0; kill -QUIT $$"),
    sh("ulimit -s 256; ls / | wc -l"),
    sh("echo to stdout > /dev/stdout; echo to stderr > /dev/stderr; echo again > /proc/self/fd/1"),
    sh("echo x >> out; cat out out; rm out; ls -A"),
    sh("read x < /dev/null || echo end; echo y | { read x; echo $x; }"),
    sh("sleep 0.05 & wait; echo waited; (sleep 0.02; echo late) & wait"),
    bash("f() { echo in f; return 4; }; set -x; f; echo $?; for i in 1 2 3; do (echo $i >&2); done; cat <<< here"),
    bash("exec > >(tr a-z A-Z); echo text; exec 1>&2; echo other; sleep 0.2"),
    bash(
        "coproc cat; echo to coproc >&${COPROC[1]}; read -u ${COPROC[0]} x; echo $x; eval \"exec ${COPROC[1]}>&-\"; wait",
    ),
    bash("exec 5>&1 6>&2 1>&6 2>&5; echo swapped; ls /nowhere; exec 1>&5 2>&6; echo back"),
    bash("exec {fd}>file; echo data >&$fd; exec {fd}>&-; cat file; diff <(echo a) <(echo b)"),
    bash("echo $(ls -l /proc/self/fd | wc -l); echo `echo nested $(echo twice)`; { echo e >&2; } 2>&1 | cat"),
    bash("set -o pipefail; seq 100000 | head -1 > /dev/null; echo ${PIPESTATUS[@]}; false | true; echo $?"),
    bash("printf '%s\\n' {1..2000}; printf '\\0\\1\\377\\n'; echo -n end"),
    bash("ulimit -u 1; exec -a other sh -c 'echo $0'"),
    bash("trap 'echo usr1' USR1; kill -USR1 $$; trap - USR1; (kill -USR1 $BASHPID); echo $?").numbers(),
    bash("shopt -s expand_aliases; time_it() { :; }; declare -f time_it; type -t ls; hash; help true"),
    bash("while read -r n; do echo \"$n\" >&2; done < <(seq 3); mapfile -t a < <(seq 4); echo ${#a[@]}"),
    bash("echo $PPID $$ $BASHPID | wc -w; kill -l TERM; wait 99999; echo $?"),
    bash("cat /dev/null; bash -c 'echo inner; exit 2'; echo $?; bash -ic 'echo interactive'").numbers(),
    bash("ulimit -c 0; (exec sh -c 'kill -SEGV $$'); echo $?").numbers(),
];

/// coreutils and their like.
pub const TOOLS: &[Case] = &[
    sh("seq 1 100000"),
    sh("ls -la /usr/bin | wc -l; ls / /nowhere"),
    sh("ls --bad; ls --color=always /; ls -C /"),
    sh("cat /bin/ls; cat /etc/passwd - < /etc/group; cat /nowhere"),
    sh("cat /etc/passwd > copy; cp copy second; cmp copy second; mv second third; cat third"),
    sh("sort /etc/passwd /etc/group; seq 20000 | sort -R -T . -S 64K | sort -n -S 64K | tail -1"),
    sh("tar cf - -C /etc passwd group; tar cf a.tar -C /etc passwd; tar tvf a.tar; tar xf a.tar; tar xf nothing"),
    sh("dd if=/bin/ls bs=777 count=9 status=none; dd if=/dev/zero bs=10 count=1 2>/dev/null"),
    sh("dd if=/dev/zero of=/dev/null bs=1 count=1 status=none; echo x | dd status=none of=/dev/stdout"),
    sh("env -i /bin/echo hi").loud(),
    sh("env -u HOME sh -c 'echo ${HOME-unset}'; env A=1 sh -c 'echo $A'"),
    sh("timeout 5 echo in time; timeout 0.1 sleep 5; echo $?; timeout -s KILL 0.1 sleep 5; echo $?"),
    sh("nohup echo hup; nohup sh -c 'kill -HUP $$; echo alive'; nohup no-such; echo $?"),
    sh("setsid -w sh -c 'echo session; exit 8'; echo $?"),
    sh("stdbuf -oL seq 3; stdbuf -o0 printf 'a\\nb'; stdbuf -oL -eL ls /nowhere"),
    sh("seq 50 | xargs -n 1 -P 4 echo").any_order(),
    sh("seq 5 | xargs -I{} sh -c 'echo {}; exit {}'; echo $?"),
    sh("find /etc -maxdepth 1 -name 'pass*' -exec echo found {} \\; -exec sh -c 'exit 1' \\; -o -name group -print0"),
    sh("head -c 5 /etc/passwd; tail -n 1 /etc/group; tail -c +3 /etc/hostname; head -n 1 /nowhere"),
    sh("od -c /etc/hostname; base64 /etc/hostname; md5sum /etc/hostname; sha256sum < /etc/hostname; cksum /etc/group"),
    sh("printf 'b\\na\\n' | sort; printf 'a a b' | tr ' ' '\\n' | uniq -c; cut -d: -f1 /etc/passwd; wc /etc/passwd"),
    sh("grep root /etc/passwd; grep -c . /etc/group; grep x /nowhere; grep -q root /etc/passwd; echo $?"),
    sh("sed -n '1p;$p' /etc/passwd; sed 's/:.*//' /etc/group; sed bad; echo text > f; sed -i s/t/T/ f; cat f"),
    sh("awk -F: '{ n += $3 } END { print n; print \"err\" > \"/dev/stderr\"; system(\"echo sub\") }' /etc/passwd"),
    sh("tee a b < /etc/hostname; tee /nowhere/x < /etc/hostname; yes | tee copy | head -n 2"),
    sh("split -n 3 /etc/passwd; cat xa?; csplit -s /etc/passwd 2; cat xx00; comm /etc/passwd /etc/group; join /etc/passwd /etc/group 2>&1").loud(),
    sh("expr 1 + 2; test 1 = 2; echo $?; factor 1234567; numfmt --to=iec 123456; date -u -d @0; id -u; whoami; tty"),
    sh("mkfifo p; (echo through > p &) ; cat p; mktemp -u XXX | wc -c; readlink -f .. | wc -l; basename /a/b"),
    sh("df / | wc -l; du -s . | cut -f2; stat -c %n /etc/passwd; realpath /etc/../etc; nproc; uname; arch; pwd -P | wc -l"),
    sh("fold -w 20 /etc/passwd; fmt /etc/passwd; pr -t /etc/hostname; nl /etc/group; expand /etc/hostname; paste /etc/hostname /etc/hostname; tac /etc/group; rev /etc/hostname; shuf -n 0 /etc/group"),
    sh("chroot / echo rooted").loud(),
    sh("env -u LD_PRELOAD sh -c 'echo on its own; ls --bad'").loud(),
    sh("for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do [ -x $loader ] && $loader /bin/echo by the loader; done"),
    sh("LD_BIND_NOW=1 ls --bad; LD_DEBUG=none echo a; LD_LIBRARY_PATH=/nowhere echo b; LD_PRELOAD= echo c").loud(),
];

/// Interpreters that every machine has.
pub const LANGUAGES: &[Case] = &[
    sh("perl -e 'print STDERR qq(a\\n); print qq(b); system q(echo c); exit 7'"),
    sh(
        "perl -e '$| = 1; print qq(a\\n); warn qq(b\\n); $SIG{USR1} = sub { print qq(usr1\\n) }; kill USR1 => $$; die qq(c\\n)'",
    ),
    sh(
        "perl -e 'if (fork) { wait; print $? >> 8, qq(\\n) } else { print qq(child\\n); exit 3 } open(F, q(|cat)); print F qq(piped\\n); close F'",
    ),
    sh(
        "perl -e 'open STDOUT, q(>), q(f); print qq(in f\\n); close STDOUT; open STDOUT, q(>&), STDERR; print qq(err\\n); exec q(cat), q(f)'",
    ),
    sh("perl -MPOSIX -e 'POSIX::write(1, qq(raw\\n), 4); dup2(2, 1); print qq(x\\n); kill ABRT => $$'"),
    sh("python3 -c 'import os,sys; print(1); sys.stdout.flush(); os.write(1, b\"y\"); os.system(\"echo z >&2\"); 1/0'"),
    sh(
        "python3 -c 'import subprocess as s; print(s.run([\"sh\", \"-c\", \"echo a; exit 3\"], capture_output=True)); s.run([\"echo\", \"b\"]); print(s.getoutput(\"ls /nowhere\"))'",
    ),
    sh(
        "python3 -c 'import os\npid = os.fork()\nos.write(1, b\"x\" if pid else b\"\")\npid and print(os.waitpid(pid, 0)[1])'",
    ),
    sh(
        "python3 -u -c 'import logging,warnings; logging.warning(\"w\"); warnings.warn(\"x\"); print(1, 2, sep=\"\\n\"); raise SystemExit(\"bye\")'",
    ),
    sh("python3 -X faulthandler -c 'import os; print(1, flush=True); os.kill(os.getpid(), 11)'").numbers(),
    sh("python3 -c 'import os; os.abort()'"),
    sh("python3 -c 'import multiprocessing as m; p = m.Pool(2); print(p.map(abs, range(-5, 5))); p.close(); p.join()'"),
    sh(
        "python3 -c 'import threading as t; a = [t.Thread(target=print, args=(i,)) for i in range(9)]; [x.start() or x.join() for x in a]'",
    ),
    sh("python3 -c 'import os,sys; sys.stdout.close(); os.write(2, b\"closed\\n\"); print(os.isatty(1))'"),
    sh("python3 -c 'import os,sys; r,w = os.pipe(); os.close(r); os.dup2(w, 1); print(\"x\" * 9)'"),
    sh(
        "python3 -c 'import os; os.closerange(3, 256); print(sorted(os.listdir(\"/proc/self/fd\")), flush=True); os.execvp(\"echo\", [\"other\", \"exec\"])'",
    ),
    sh(
        "python3 -c 'import os; os.writev(1, [b\"a\", b\"\", b\"b\\n\"]); os.posix_spawn(\"/bin/echo\", [\"e\", \"spawned\"], os.environ); os.wait(); print(os.get_blocking(1))'",
    ),
    sh(
        "python3 -c 'import signal,os; signal.signal(10, lambda *a: print(\"usr1\")); os.kill(os.getpid(), 10); signal.signal(13, signal.SIG_DFL); os.kill(os.getpid(), 13)'",
    ),
    sh(
        "python3 -c 'import ctypes; c = ctypes.CDLL(None); c.puts(b\"puts\"); c.printf(b\"%d\\n\", 5); c.fflush(None); c._exit(9)'",
    ),
    sh(
        "python3 -c 'import asyncio as a\nasync def f():\n  p = await a.create_subprocess_exec(\"echo\", \"async\"); print(await p.wait())\na.run(f())'",
    ),
    sh("python3 -c 'import sys; sys.setrecursionlimit(50); f = lambda: f(); f()'"),
    sh("python3 -c 'import pty; print(pty.spawn([\"sh\", \"-c\", \"tty | cut -c1-9; echo x >&2; exit 3\"]))'"),
    sh(
        "python3 -c 'import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (5, 5)); open(\"f\", \"w\").write(\"0123456789\")'",
    ),
    sh(
        "python3 -c 'import os,socket as s; a,b = s.socketpair(); a.sendall(b\"x\"); os.write(1, b.recv(9)); os.dup2(a.fileno(), 1); print(\"sent\", flush=True); os.write(2, b.recv(9))'",
    ),
];

/// `crashes.c`, which is `$C` here.
pub const PROGRAMS: &[Case] = &[
    sh("exec $C crash abort").loses(),
    sh("exec $C crash assert"),
    sh("exec $C crash smash").loud(),
    sh("exec $C crash free").loud(),
    sh("exec $C crash segv"),
    sh("exec $C crash fpe"),
    sh("exec $C crash ill"),
    sh("exec $C crash bus"),
    sh("exec $C crash kill"),
    sh("exec $C crash term"),
    sh("exec $C crash pipe"),
    sh("exec $C crash fsize"),
    sh("exec $C end return"),
    sh("exec $C end exit"),
    sh("exec $C end quick_exit").loses(),
    sh("exec $C end _exit"),
    sh("exec $C end pthread_exit"),
    sh("exec $C end err"),
    sh("exec $C end errx"),
    sh("exec $C end warn"),
    sh("exec $C end error"),
    sh("exec $C end psignal"),
    sh("exec $C end fcloseall"),
    sh("exec $C end closed"),
    sh("exec $C stdio default"),
    sh("exec $C stdio unbuffered"),
    sh("exec $C stdio full"),
    sh("exec $C stdio own"),
    sh("exec $C files").loud(),
    sh("exec $C wide"),
    sh("exec $C children").loud().loses(),
    sh("exec $C descriptors").loud(),
    sh("exec $C signals").loses(),
    sh("printf '#include <stdio.h>\nint main(void) { puts(\"static\"); return 3; }' | cc -static -x c -o static - && ./static; echo $?").loud(),
    sh("exec $C threads return"),
    sh("exec $C threads pthread-exit"),
    sh("exec $C threads main-exits"),
];

/// What not every machine has.
pub const OTHERS: &[Case] = &[
    sh("exec $CPP throw").needs(&["g++"]),
    sh("exec $CPP catch").needs(&["g++"]),
    sh("exec $CPP streams").needs(&["g++"]),
    sh("exec $CPP unsynced").needs(&["g++"]),
    sh("exec $CPP terminate").needs(&["g++"]).loses(),
    sh("printf 'all: a b c\\na b c:\\n\\t@echo $@; sleep 0.01\\nbad:\\n\\techo bad; exit 3\\n' > Makefile; make -j3 -Otarget; make bad")
        .needs(&["make"])
        .any_order(),
    sh("git init -q r; cd r; git config user.name a; git config user.email b@c; echo x > f; git add f; git commit -qm first; git log --format=%s; git status; git diff --stat; git nothing")
        .needs(&["git"]),
    sh("curl -sS http://127.0.0.1:9/; echo $?; curl -s file:///etc/hostname; curl --bad; curl -o f -s file:///etc/group; cat f").needs(&["curl"]).numbers(),
    sh("ssh-keygen -q -t ed25519 -N '' -f k; ssh-keygen -y -f k | wc -w; ssh-keygen -l -f nothing").needs(&["ssh-keygen"]),
    sh("echo text | openssl dgst -sha256; openssl rand -hex 8 | wc -c; openssl nothing; openssl version | wc -l").needs(&["openssl"]),
    sh("gdb -batch -ex 'run' -ex 'bt 1' --args sh -c 'echo inner; exit 3' 2>&1 | grep -E 'inner|exited'").needs(&["gdb"]).numbers(),
    sh("sqlite3 :memory: 'create table t(a); insert into t values (1),(2); select sum(a) from t; bad sql;'").needs(&["sqlite3"]),
    sh("setpriv --reuid 1 --regid 1 --clear-groups id -u; setpriv --no-new-privs grep NoNewPrivs /proc/self/status").needs(&["setpriv"]).loud(),
    sh("su -s /bin/sh nobody -c 'id -un; exit 5'").needs(&["su"]).loud(),
    sh("sudo -n id -un").needs(&["sudo"]).loud(),
    sh("strace -f -o trace sh -c 'echo traced; (exit 3)'; echo $?; strace -e trace=none true").needs(&["strace"]),
    sh("script -qec 'echo in a pty; tty | cut -c1-9; exit 3' /dev/null; echo $?").needs(&["script"]),
    sh("flock lock echo locked; flock -n lock false; echo $?").needs(&["flock"]),
    sh("unshare --fork --pid sh -c 'echo $$'; unshare --user id -u").needs(&["unshare"]),
    sh("node -e 'console.log(1); console.error(2); process.stdout.write(\"x\"); require(\"child_process\").execSync(\"echo y >&2\"); process.exitCode = 4'")
        .needs(&["node"]),
    sh("node -e 'console.log(1); throw new Error(\"thrown\")'").needs(&["node"]).numbers(),
    sh("node -e 'for (let i = 0; i < 20000; i++) console.log(i)'").needs(&["node"]),
    sh("java -version").needs(&["java"]).numbers(),
    sh("printf 'class A { public static void main(String[] a) { System.out.println(1); System.err.println(2); throw new RuntimeException(\"x\"); } }' > A.java; java -Xshare:auto A.java")
        .needs(&["java", "javac"]),
    sh("tclsh <<'E'\nputs out; puts stderr err; exec echo run >@stdout; exit 3\nE").needs(&["tclsh"]),
    sh("jq -n '[1, 2] | add'; echo '{' | jq .; jq --bad").needs(&["jq"]),
    sh("echo '2^64; 1/0' | bc").needs(&["bc"]),
    sh("gzip -c /etc/passwd | gzip -dc; gzip -d < /etc/passwd; xz -c /etc/group | xz -dc").needs(&["gzip", "xz"]),
    sh("ps -o comm= -p 1 | wc -l; ps --bad; top -b -n 1 | wc -l | tr -d 0-9").needs(&["ps", "top"]).numbers(),
    sh("ip -o link | wc -l; ip nothing; ss --bad").needs(&["ip", "ss"]),
    sh("vim -es -c 'put =1+1' -c '%p' -c 'qa!'; less /etc/hostname; less /nowhere").needs(&["vim", "less"]),
    sh("readelf -h /bin/ls; nm -D /bin/ls | head -3; objdump -f /bin/ls; readelf /nowhere").needs(&["readelf", "nm", "objdump"]),
    sh("echo 'int main(void) { return f(; }' > a.c; cc a.c; echo $?; echo 'int x = 1;' | cpp -P; cc --version | head -1").needs(&["cc", "cpp"]),
    sh("file /bin/ls /etc/passwd /nowhere; file -S /bin/sh").needs(&["file"]),
    sh("zsh -c 'echo a; print -u2 b; (exit 3); echo $?; (echo c) > >(tr c C)'").needs(&["zsh"]),
    sh("ruby -e 'puts 1; warn 2; $stdout.write(3); raise \"x\"'").needs(&["ruby"]),
    sh("lua -e 'print(1) io.stderr:write(\"2\\n\") error(\"x\")'").needs(&["lua"]),
    sh("php -r 'echo 1; error_log(\"x\"); exit(3);'").needs(&["php"]),
    sh("busybox sh -c 'echo a; echo b >&2; exit 3'").needs(&["busybox"]).loud(),
    sh("valgrind -q --error-exitcode=9 sh -c 'echo under valgrind'").needs(&["valgrind"]).loud(),
];
