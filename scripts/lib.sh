# What the scripts share: packages, and a private PostgreSQL. Sourced by bash with set -eu.
#
# The private PostgreSQL belongs to a folder: `pg_start DIR` makes it there on the first
# call and finds it on the next. It listens on a Unix socket only, and no service of the
# system is touched. Its server refuses to run as root, so root runs it as "postgres"; and
# a socket's path is short by law, and a folder under /root is closed to others: then the
# cluster lies in a folder of its own under /tmp, and DIR/pg.env remembers where.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say()  { printf '%s\n' "$*" >&2; }
die()  { say "$(basename "$0"): $*"; exit 1; }

# ── packages ─────────────────────────────────────────────────────────────────────────

build_packages="gcc libc6-dev cmake ninja-build pkgconf libmicrohttpd-dev libjansson-dev \
libpq-dev libcurl4-openssl-dev uuid-dev libssl-dev"
database_packages="postgresql"
run_packages="curl ca-certificates"
test_packages="libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-psycopg2"
fuzz_packages="clang libclang-rt-dev llvm"
media_packages="libopus-dev libopusfile-dev libsoxr-dev"
e2e_packages="redis-tools sip-tester iproute2"      # redis-tools has the server too, and starts no service

missing_packages() {
	local package status
	for package in "$@"; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
		[ "$status" = installed ] || printf '%s ' "$package"
	done
}

# Installs what is missing, when that can be done without asking; says what is missing otherwise.
need_packages() {
	local missing become=
	if ! command -v dpkg-query >/dev/null; then
		say "This is neither Debian nor Ubuntu: these packages, or their like, are needed: $*"
		return 0
	fi
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		if sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then
			become=sudo
		else
			say "These packages are missing, and only root may install them:"
			say "    apt-get install --no-install-recommends $missing"
			return 1
		fi
	fi
	say "Installing: $missing"
	# Debian makes and starts a cluster of its own when the server is installed; we need none.
	local quiet=/etc/postgresql-common/createcluster.d/callgate.conf
	case " $missing" in
	*" postgresql "*)
		$become mkdir -p "$(dirname $quiet)"
		echo "create_main_cluster = false" | $become tee $quiet >/dev/null ;;
	esac
	local apt="$become env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300"
	local log status=0
	log=$(mktemp)
	{ $apt update && $apt install --no-install-recommends $missing; } </dev/null >"$log" 2>&1 || status=$?
	$become rm -f $quiet
	if [ "$status" != 0 ]; then
		tail -n 30 "$log" >&2
		say "These packages could not be installed: $missing"
	fi
	rm -f "$log"
	return "$status"
}

# CMake 3.25 is Debian 12's; an older one says so in its own words only half-way through.
need_cmake() {
	local version
	version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
	printf '3.25\n%s\n' "$version" | sort -V -C ||
		die "CMake $version is too old: 3.25 is needed (Debian 12, Ubuntu 24.04, or newer)"
}

# What makes pytest run tests in several processes: most of their time is waiting. Each process gets
# the next test when it is done with one (that is what loadgroup does with tests of no group).
pytest_workers() {
	/usr/bin/python3 -c 'import xdist' 2>/dev/null || return 0
	printf '%s\n' "-n ${CALLGATE_TEST_WORKERS:-4} --maxprocesses 10 --dist loadgroup"
}

# build PRESET [TARGET…]: configures and builds; shows its log only when something is wrong.
build() {
	local preset=$1 log
	shift
	mkdir -p "$top/build"
	log=$top/build/$preset.log
	say "Building ($preset) …"
	if ! { cd "$top" && cmake --preset "$preset" ${cmake_flags:-} &&
		cmake --build --preset "$preset" ${1:+--target "$@"}; } >"$log" 2>&1 </dev/null; then
		grep -n -E -A 12 'error:|Error|FAILED:|undefined reference' "$log" | head -n 80 >&2 || true
		say "The build failed; all of it is in $log"
		return 1
	fi
}

# ── a private PostgreSQL ─────────────────────────────────────────────────────────────

pg_bin() {
	local found
	found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
	if [ -z "$found" ] && command -v pg_ctl >/dev/null; then
		found=$(dirname "$(readlink -f "$(command -v pg_ctl)")")
	fi
	[ -x "$found/pg_ctl" ] || { say "PostgreSQL's server programs are not installed"; return 1; }
	printf '%s\n' "$found"
}

# As the user the server runs as.
pg_as() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && setpriv --reuid postgres --regid postgres --init-groups env HOME=/tmp "$@")
	else
		(cd / && "$@")
	fi
}

# Where the cluster of DIR lies: PG_HOME, from DIR/pg.env.
pg_home() {
	PG_HOME=
	[ -f "$1/pg.env" ] || return 1
	PG_HOME=$(sed -n 's/^PG_HOME=//p' "$1/pg.env")
	[ -n "$PG_HOME" ] && [ -f "$PG_HOME/data/PG_VERSION" ]
}

pg_running() {
	local bin
	pg_home "$1" && bin=$(pg_bin) && pg_as "$bin/pg_ctl" -D "$PG_HOME/data" status >/dev/null 2>&1
}

pg_make() {
	local dir=$1 bin home
	bin=$(pg_bin) || return 1
	mkdir -p "$dir"
	home=$(cd "$dir" && pwd)/pg
	rm -rf "$home" 2>/dev/null || true
	if [ "${#home}" -gt 70 ] || ! mkdir "$home" 2>/dev/null || { [ "$(id -u)" = 0 ] &&
		! { chown postgres "$home" && pg_as test -w "$home"; } 2>/dev/null; }; then
		rmdir "$home" 2>/dev/null || true
		home=$(mktemp -d /tmp/callgate-pg.XXXXXX)
		[ "$(id -u)" != 0 ] || chown postgres "$home"
	fi
	chmod 700 "$home"
	pg_as mkdir "$home/sock"
	if ! pg_as "$bin/initdb" -D "$home/data" -U postgres -A trust -E UTF8 --locale=C \
		</dev/null >"$dir/initdb.log" 2>&1; then
		tail -n 20 "$dir/initdb.log" >&2
		return 1
	fi
	pg_as tee -a "$home/data/postgresql.conf" >/dev/null <<-CONF
	listen_addresses = ''
	unix_socket_directories = '$home/sock'
	max_connections = 200
	shared_buffers = 128MB
	max_wal_size = 2GB
	fsync = on
	timezone = 'UTC'
	log_line_prefix = '%m [%p] %a '
	CONF
	printf 'PG_HOME=%s\n' "$home" >"$dir/pg.env"
}

# pg_start DIR: makes the cluster if need be, starts it if need be. Waits a minute at most.
pg_start() {
	local dir=$1 bin
	pg_running "$dir" && return 0
	bin=$(pg_bin) || return 1
	if pg_home "$dir" && [ "$("$bin/postgres" -V | sed 's/[^0-9]*\([0-9]*\).*/\1/')" != \
		"$(pg_as cat "$PG_HOME/data/PG_VERSION")" ]; then
		die "the cluster in $PG_HOME is of another PostgreSQL version: remove $dir and try again"
	fi
	pg_home "$dir" || pg_make "$dir" || return 1
	pg_home "$dir"
	if ! pg_as "$bin/pg_ctl" -D "$PG_HOME/data" -l "$PG_HOME/log" -w -t 60 start </dev/null >/dev/null 2>&1; then
		tail -n 20 "$PG_HOME/log" >&2
		say "PostgreSQL did not start; its log is $PG_HOME/log"
		return 1
	fi
}

pg_stop() {
	local bin
	pg_running "$1" || return 0
	bin=$(pg_bin)
	pg_as "$bin/pg_ctl" -D "$PG_HOME/data" -m fast -w -t 60 stop </dev/null >/dev/null 2>&1 ||
		pg_as "$bin/pg_ctl" -D "$PG_HOME/data" -m immediate -w -t 30 stop </dev/null >/dev/null 2>&1 ||
		! pg_running "$1"       # somebody else has ended it meanwhile
}

pg_remove() {
	pg_stop "$1" || true
	if pg_home "$1"; then
		rm -rf "$PG_HOME"
	fi
	rm -f "$1/pg.env" "$1/initdb.log"
}

# pg_url DIR [DATABASE]. No "&" in it, so that it survives an unquoted shell assignment.
pg_url() {
	pg_home "$1" || return 1
	printf 'postgresql://postgres@/%s?host=%s\n' "${2:-postgres}" \
		"$(printf '%s' "$PG_HOME/sock" | sed 's/%/%25/g; s/ /%20/g; s/&/%26/g; s/+/%2B/g; s/#/%23/g; s/?/%3F/g')"
}

# pg_database DIR NAME: creates the database if it is not there.
pg_database() {
	local url
	url=$(pg_url "$1")
	psql -X -q -A -t "$url" -c "select 1 from pg_database where datname = '$2'" </dev/null | grep -q 1 ||
		psql -X -q "$url" -c "create database \"$2\"" </dev/null
}
