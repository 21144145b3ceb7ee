# A command of the machine that is run by Run Command, in pieces: what comes before this text has set d, a directory of
# the command's own; pass, the file with the key; do, what to do; and for that data, n, out and err. All that is secret is
# encrypted in data and in what is printed. Each piece may be run twice.
umask 077
[ -n "$HOME" ] || HOME=~root
export HOME
cd "$HOME" || exit 70
opened() { printf %s "$data" | base64 -d | openssl enc -d -aes-256-ctr -pbkdf2 -iter 1 -pass "file:$pass"; }
case $do in
	start) # data: the command line
		if ! mkdir "$d" 2>/dev/null; then # another is at it, or was
			i=0
			until [ -f "$d/started" ]; do i=$((i + 1)); [ $i -lt 50 ] || exit 71; sleep 0.1; done
			exit 0
		fi
		opened >"$d/line" || exit 71
		: >"$d/out"
		: >"$d/err"
		: >"$d/started"
		export d
		setsid sh -c 'echo $$ >"$d/group"
			n=0
			{ while :; do
				if [ -f "$d/in.$n" ]; then cat "$d/in.$n"; rm -f "$d/in.$n"; n=$((n + 1))
				elif [ -f "$d/end" ] && read -r last <"$d/end" && [ "$last" = $n ]; then break
				elif [ -f "$d/code" ] || ! [ -d "$d" ]; then break # nobody reads it any more
				else sleep 0.1; fi
			done; } 2>/dev/null | {
				(at=$d; unset d n; exec sh "$at/line") >"$d/out" 2>"$d/err"
				echo $? >"$d/code.new"; mv "$d/code.new" "$d/code"
			}' </dev/null >/dev/null 2>&1 &
		;;
	feed) # data: piece n of its input
		opened >"$d/new.$n" && mv "$d/new.$n" "$d/in.$n" || exit 71 ;;
	end) # its input had n pieces
		echo "$n" >"$d/end.new" && mv "$d/end.new" "$d/end" ;;
	read) # what it has printed behind out and err; for want of anything it waits up to 10 s
		i=0
		while [ $i -lt 100 ] && [ ! -f "$d/code" ] && [ $(($(wc -c <"$d/out"))) -le "$out" ] && [ $(($(wc -c <"$d/err"))) -le "$err" ]; do
			sleep 0.1
			i=$((i + 1))
		done
		code=-
		[ ! -f "$d/code" ] || read -r code <"$d/code"
		tail -c "+$((out + 1))" "$d/out" | head -c 12000 >"$d/o.$$"
		tail -c "+$((err + 1))" "$d/err" | head -c 3000 >"$d/e.$$"
		echo "$code" $(($(wc -c <"$d/o.$$"))) $(($(wc -c <"$d/e.$$")))
		cat "$d/o.$$" "$d/e.$$" | openssl enc -aes-256-ctr -pbkdf2 -iter 1 -pass "file:$pass" | base64
		rm -f "$d/o.$$" "$d/e.$$" ;;
	kill)
		read -r group <"$d/group" && kill -s KILL -- "-$group"
		rm -rf "$d" ;;
	forget)
		rm -rf "$d" ;;
	*)
		exit 64 ;;
esac
