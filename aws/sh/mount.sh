# Mounts the volume with the serial $1 at $2. $3: yes, to make a file system on a volume that is blank.
# Exit codes: 1 it failed; 3 the device is not there yet; 4 it has no file system; 5 something else is at the path.
s=${RUNCTL_SYSROOT:-}
serial=$1 at=$s$2 format=$3 dev=
find_it() {
	for d in "$s"/sys/block/*; do
		[ -r "$d/device/serial" ] && read -r got <"$d/device/serial" || continue
		if [ "$got" = "$serial" ]; then
			dev=$s/dev/${d##*/}
			return 0
		fi
	done
	return 1
}
n=0
until find_it; do
	n=$((n + 1))
	[ "$n" -lt 30 ] || { echo "no device has the serial $serial: it is not attached yet, or this type of machine has no NVMe"; exit 3; }
	sleep 1
done
have=$(awk -v at="$at" '$2 == at { d = $1 } END { print d }' "${RUNCTL_MOUNTS:-/proc/mounts}")
case $have in
"") ;;
"$dev" | "${dev}p"[0-9]*) exit 0 ;;
*) echo "$have is mounted there"; exit 5 ;;
esac
# blkid 2: nothing that is known. Only a device whose beginning is all zeros is blank.
part=$dev
[ ! -b "${dev}p1" ] || part=${dev}p1
type=$(blkid -p -o value -s TYPE "$part" 2>/dev/null)
if [ -z "$type" ]; then
	if [ "$part" != "$dev" ] || [ "$(dd if="$dev" bs=1048576 count=1 2>/dev/null | tr -d '\0' | wc -c)" -ne 0 ]; then
		echo "it holds something that is no file system: it was left alone"
		exit 4
	fi
	[ "$format" = yes ] || { echo "it is blank: make a file system, or allow it with Format"; exit 4; }
	mkfs.ext4 -q "$dev" || exit 1
fi
mkdir -p "$at" && mount "$part" "$at" || exit 1
