#!/bin/sh
# Whether the list $1 (`0-3,7`) holds the number $2.
IFS=,
for part in $1; do
    first=${part%-*} last=${part#*-}
    [ "$part" != none ] && [ "$2" -ge "$first" ] && [ "$2" -le "$last" ] && exit 0
done
exit 1
