#!/usr/bin/env bash
# A Slurm of one node on loopback, for tests, on Debian or Ubuntu as root:
#   slurm.sh install [accounting]
#   slurm.sh start DIR [accounting]     all files of the daemons lie in DIR; ends when a job can start
#   slurm.sh stop DIR
# Its one GPU is /dev/null: Slurm hands it out like a real one. A job over its memory or time is killed
# within seconds, without cgroups, which a container often lacks.
set -euo pipefail

fail() { printf 'slurm.sh: %s\n' "$*" >&2; exit 1; }

install() {
    local packages=(slurm-wlm munge)
    [ "${1:-}" = accounting ] && packages+=(slurmdbd mariadb-server-core mariadb-client-core)
    local missing=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    apt-get update -qq
    # nothing that is installed starts by itself
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

wait_for() { # what it is, then a command that succeeds once it is there
    local what=$1
    shift
    for _ in $(seq 200); do
        timeout 5 "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "$what did not start; its log is in $dir/log"
}

start_accounting() {
    mariadb-install-db --no-defaults --user=root --datadir="$dir/db" --skip-test-db \
        --auth-root-authentication-method=socket >"$dir/log/mariadb-install.log" 2>&1
    mariadbd --no-defaults --user=root --datadir="$dir/db" --socket="$dir/db.sock" --skip-networking \
        --pid-file="$dir/mariadbd.pid" >"$dir/log/mariadbd.log" 2>&1 &
    wait_for mariadbd mariadb --no-defaults --socket="$dir/db.sock" -e 'create database slurm_acct_db'
    cat >"$dir/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
DbdHost=localhost
DbdPort=16819
SlurmUser=root
PidFile=$dir/slurmdbd.pid
LogFile=$dir/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
CONF
    chmod 600 "$dir/slurmdbd.conf"
    ln -sf "$dir/slurmdbd.conf" /etc/slurm/slurmdbd.conf
    # the client library knows no other way to name the socket
    MYSQL_UNIX_PORT="$dir/db.sock" slurmdbd
    wait_for slurmdbd sacctmgr -n list cluster
    sacctmgr -i add cluster emhtest >/dev/null
    sacctmgr -i add account niche cluster=emhtest >/dev/null
    sacctmgr -i add user "$(id -un)" account=niche cluster=emhtest >/dev/null
}

start() {
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
    local accounting=${2:-} host
    host=$(hostname -s)
    if [ -e /etc/slurm/slurm.conf ] && [ ! -L /etc/slurm/slurm.conf ]; then
        fail "/etc/slurm/slurm.conf is another cluster's"
    fi
    if [ -e /etc/slurm/slurm.conf ] && timeout 5 scontrol ping >/dev/null 2>&1; then
        fail "another Slurm of these tests is running"
    fi
    mkdir -p "$dir"/{state,spool,log} /etc/slurm
    head -c 1024 /dev/urandom >"$dir/munge.key"
    chmod 400 "$dir/munge.key"
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.sock" --pid-file="$dir/munged.pid" \
        --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" 2>"$dir/log/munged.start"
    local storage="AccountingStorageType=accounting_storage/none"
    if [ "$accounting" = accounting ]; then
        storage="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=16819
AccountingStoragePass=$dir/munge.sock
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations"
    fi
    cat >"$dir/slurm.conf" <<CONF
ClusterName=emhtest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
CredType=cred/munge
SlurmUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
$storage
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=100000
KillWait=2
ReturnToService=2
MinJobAge=3600
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(($(nproc) + 3)) RealMemory=16000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=240 State=UP
CONF
    echo "Name=gpu File=/dev/null" >"$dir/gres.conf"
    echo "CgroupAutomount=no" >"$dir/cgroup.conf"
    for name in slurm gres cgroup; do ln -sf "$dir/$name.conf" /etc/slurm/; done
    if [ "$accounting" = accounting ]; then start_accounting; fi
    slurmctld -c
    slurmd
    wait_for "the node" sh -c '[ "$(sinfo -h -o %T -p main)" = idle ]'
}

stop() {
    dir=$(cd "$1" && pwd)
    for name in slurmd slurmctld slurmdbd munged mariadbd; do
        pid=$(cat "$dir/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -0 "$pid" 2>/dev/null && kill -9 "$pid"
    done
    for name in slurm gres cgroup slurmdbd; do
        link=/etc/slurm/$name.conf
        [ "$(readlink "$link")" = "$dir/$name.conf" ] && rm "$link"
    done
    true
}

case ${1:-} in
    install | start | stop) "$@" ;;
    *) fail "usage: slurm.sh install [accounting] | start DIR [accounting] | stop DIR" ;;
esac
