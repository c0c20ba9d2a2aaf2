# SPDX-License-Identifier: MIT
# Completion of pipc-inspect(1) for bash.

_pipc_inspect()
{
    local current=${COMP_WORDS[COMP_CWORD]}
    local options='--help --json --version'
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    local processes
    processes=$(cd /proc && echo [0-9]*)
    mapfile -t COMPREPLY < <(compgen -W "$processes" -- "$current")
}

complete -F _pipc_inspect pipc-inspect
