#!/bin/sh
# Stands for a test binary: the same protocol, and no machine. What it writes is decided by its environment alone, but for
# the test `wavers`, which counts its runs.
here=$(dirname "$0")
case "$1" in
--list)
    printf 'ktstr/steady: test\nktstr/wavers: test\nktstr/on_the_host: test\nktstr/fails_by_chance: test\nplain: test\n'
    exit 0
    ;;
esac
case "$1" in
--ktstr-test-fn=*) test=${1#--ktstr-test-fn=} ;;
*) test=${2#ktstr/} ;;
esac
seed=${KTSTR_SEED:-1} chaos=${KTSTR_CHAOS:-off} keep=${KTSTR_CHAOS_KEEP:-all}
said="seed $seed chaos $chaos keep $keep"
# Only `steady` has a scheduler that is a program; each letter of its arguments is one more iteration.
args= iterations=1
if [ "$test" = steady ] && [ -n "$KTSTR_SCHEDULER_ARGS" ]; then
    args="\"$(printf %s "$KTSTR_SCHEDULER_ARGS" | sed 's/ /","/g')\"" iterations=$((1 + ${#KTSTR_SCHEDULER_ARGS}))
    said="$said args $KTSTR_SCHEDULER_ARGS"
fi
passed=true message= code=0 outcomes='{"pass":null}'
case "$test" in
wavers)
    echo again >>"$here/count"
    said="$said run $(wc -l <"$here/count")"
    ;;
on_the_host)
    echo '{"test_name":"on_the_host","passed":true}' >"$KTSTR_SIDECAR_DIR/a.ktstr.json"
    exit 0
    ;;
fails_by_chance)
    # Two perturbations of the list together, with one seed in five.
    both=0
    [ "$keep" = all ] || { "$here/holds" "$keep" 17 && "$here/holds" "$keep" 40; } || both=1
    [ "$chaos" = off ] || said="$said, perturbed"
    if [ "$chaos" != off ] && [ $((seed % 5)) = 3 ] && [ "$both" = 0 ]; then
        passed=false code=1 message="a worker stood still for $((seed * 7)) ms" said="$said, $message" outcomes="{\"fail\":{\"detail\":{\"kind\":\"progress\",\"message\":\"$message\"}}}"
    fi
    ;;
esac
[ -z "$KTSTR_GDB" ] || [ -n "$KTSTR_GDB_STOP_NS" ] || said="$said gdb $KTSTR_GDB"
splat= && [ "$passed" = true ] || splat="\"$message\""
[ "$keep" = all ] && words=$chaos || words="$chaos, only $keep"
printf '%s\n' "$said" >"$KTSTR_SIM_KEEP/console"
: >"$KTSTR_SIM_KEEP/stream"
# The console all at once after 5 µs, and a stop.
word() { printf "\\$(printf %03o $(($1 & 255)))\\$(printf %03o $(($1 >> 8)))\\0\\0\\0\\0\\0\\0"; }
entry() { word "$1" && word "$2" && word "$3" && word 7; }
if [ -n "$KTSTR_SIM_TIMES" ]; then
    at=5000
    case "$UNDER_GDB$KTSTR_GDB_STOP_NS" in strays?*) at=4990 ;; esac
    case "$UNDER_GDB" in
    old) : ;;
    *) entry 0 $((${#said} + 1)) $at >"$KTSTR_SIM_TIMES" ;;
    esac
    case "$UNDER_GDB$KTSTR_GDB_STOP_NS" in '' | ends* | old* | strays) : ;; *) entry 2 0 "$KTSTR_GDB_STOP_NS" >>"$KTSTR_SIM_TIMES" ;; esac
fi
digest=$(sha256sum <"$KTSTR_SIM_KEEP/console" | cut -d' ' -f1)
kernel=$(sha256sum <"$KTSTR_KERNEL" | cut -d' ' -f1)
binary=$(sha256sum <"$0" | cut -d' ' -f1)
[ "$outcomes" = '{"pass":null}' ] && outcomes='"pass"'
cat >"$KTSTR_SIDECAR_DIR/a.ktstr.json" <<END
{"test_name":"$test","topology":"1n1l2c1t","scheduler":"eevdf","accelerator":"sim","kernel_label":"6.18","passed":$passed,
"seed":$seed,"chaos":"$words","perturbations":64,"digest":"$digest","message":"$message","outcomes":[$outcomes],
"kernel_splat":[$splat],"qemu_version":"$QEMU_HERE","binary_hash":"$binary","kernel_hash":"$kernel","initramfs_hash":"i","scheduler_args":[$args],"wall_ms":$$,
"cgroups":[{"name":"a","workers":1,"iterations":$iterations,"max_gap_ms":1.0,"spread_pct":0.0,"migrations":$((seed % 4)),"p99_wake_us":0.0,"wakes":0,"cpus":[0]}]}
END
exit $code
