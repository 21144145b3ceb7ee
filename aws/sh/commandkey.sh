# A key for what Run Command carries: what comes before this text has set at, a directory. The private half never leaves it.
umask 077
mkdir -p "$at" && cd "$at" || exit 70
[ -f key ] || { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.new 2>/dev/null && mv key.new key; } || exit 71
openssl pkey -in key -pubout
