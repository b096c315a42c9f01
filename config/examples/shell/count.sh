#!/bin/sh
# How often each word of the standard input occurs, the most frequent first. A path of /3 answers with three lines.
set -eu
lines=${Http_Path#/}
case $lines in
	'') lines=10 ;;
	*[!0-9]*) echo "the path should be a number of lines, not $Http_Path" >&2; exit 1 ;;
esac
tr -cs '[:alnum:]' '\n' | tr '[:upper:]' '[:lower:]' | sed '/^$/d' | sort | uniq -c | sort -k1,1nr -k2 | head -n "$lines"
