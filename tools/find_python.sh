#!/usr/bin/env bash
# Print the path of a Python 3.10, 3.11 or 3.12: the ROS 2 wheels and torch both exist for these.
#
# usage: find_python.sh [PYTHON]   PYTHON (name or path) is the only candidate when given. Candidates are run, not just
# looked up: version managers leave commands on the PATH that refuse to start. Virtual environments count as their base.
set -u

probe='
import sys
version = "%d.%d" % sys.version_info[:2]
in_environment = sys.prefix != sys.base_prefix
print(version, sys.base_prefix + "/bin/python" + version if in_environment else sys.executable)
'
wanted=${1-}
[ -n "$wanted" ] || set -- python3 python3.12 python3.11 python3.10 /usr/bin/python3
found=
for candidate; do
  answer=$("$candidate" -c "$probe" 2>/dev/null) || continue
  case ${answer%% *} in
    3.10 | 3.11 | 3.12)
      echo "${answer#* }"
      exit 0
      ;;
  esac
  found="$found $candidate (${answer%% *})"
done

{
  echo "Python 3.10, 3.11 or 3.12 is needed; found:${found:- none}${wanted:+ for PYTHON=$wanted}"
  echo "  install one:     sudo apt-get install python3 python3-dev python3-venv"
  echo "  or name yours:   make setup PYTHON=/path/to/python3.12"
} >&2
exit 1
