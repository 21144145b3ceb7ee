# What comes before this text has set nonce and key, imds for a spot machine, and boot, which prints the boot script.
umask 077
s=${RUNCTL_SYSROOT:-} # where the machine's root is; empty but in tests
own=$s/etc/runctl home=$s/root sshd=$s/etc/ssh
mkdir -p "$own" "$s/var/log"
log=$s/var/log/runctl-boot.log
: 2>/dev/null >>"$log" || log=/dev/null
if boot >"$own/boot.new" && mv -f "$own/boot.new" "$own/boot"; then
	sh "$own/boot" </dev/null >>"$log" 2>&1
else # no room for it
	boot | sh >>"$log" 2>&1
fi
printf '%s\n' "$nonce" >"$own/nonce"
if [ -n "${imds:-}" ]; then # the guard listens there for the notice that the machine is taken back
	r=${RUNCTL_ROOT:-$home/.runctl}/guard
	[ -L "$r/imds" ] || { mkdir -p "$r" && ln -s "${RUNCTL_IMDS:-$imds}" "$r/imds"; }
fi
if [ -n "$key" ]; then
	mkdir -p "$home/.ssh"
	a=$home/.ssh/authorized_keys
	grep -qxF -- "$key" "$a" 2>/dev/null || printf '\n%s\n' "$key" >>"$a"
	# The first word on a subject counts for sshd. Images differ in what they let root do, and all of them have this file.
	c=$sshd/sshd_config want='PermitRootLogin prohibit-password'
	if [ -f "$c" ] && read -r first <"$c" && [ "$first" != "$want" ]; then
		{ printf '%s\n' "$want" && cat "$c"; } >"$c.runctl" && cat "$c.runctl" >"$c"
		rm -f "$c.runctl"
		# At the first boot sshd waits for this very script, so nothing here may wait for sshd.
		[ -n "$s" ] || for unit in ssh sshd; do
			systemctl --no-block try-reload-or-restart "$unit.service" 2>/dev/null
		done
	fi
fi
exit 0
