# SPDX-License-Identifier: MIT
# Completion of pipccat(1) for bash.

_pipccat_words()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_pipccat_files()
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

# $1 option: completes its argument. Fails for an option without one.
_pipccat_argument()
{
    case $1 in
    -i | --input) _pipccat_words 'lines blocks file records none' ;;
    -o | --output) _pipccat_words 'text raw hex json records none' ;;
    -f | --file | --key-file) _pipccat_files ;;
    -d | --directory) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --key-env) mapfile -t COMPREPLY < <(compgen -e -- "$current") ;;
    --reply) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    --host) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current") ;;
    -b | --block-size | -m | --max-message | -n | --count | -t | --timeout | -w | --wait | \
        --bye | --mode) ;;
    *) return 1 ;;
    esac
}

# The kind of pipe that the words before the current one name, and how many words ago.
_pipccat_kind()
{
    local i
    kind='' place=0
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        fifo | tcp | serve | unix | serve-unix | fd | exec)
            kind=${COMP_WORDS[i]} place=$((COMP_CWORD - i))
            return
            ;;
        esac
    done
}

_pipccat()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} kind place
    local options='--bench --block-size= --bye= --count= --directory= --echo --file= --help
        --host= --input= --key-env= --key-file= --key-md5 --max-message= --mode= --need-bye --once
        --output= --pair --progress --quiet --reply= --timeout= --verbose --version --wait='
    COMPREPLY=()
    # With its usual word breaks, bash takes --input=lines for three words.
    if [[ $current == '=' ]]; then
        current=''
    elif [[ $previous == '=' ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ $previous == -* ]] && _pipccat_argument "$previous"; then
        return
    fi
    if [[ $current == -* ]]; then
        _pipccat_words "$options"
        [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
        return
    fi
    _pipccat_kind
    case $kind in
    '') _pipccat_words 'fifo tcp serve unix serve-unix fd exec' ;;
    unix | serve-unix) _pipccat_files ;;
    tcp) [[ $place != 1 ]] || mapfile -t COMPREPLY < <(compgen -A hostname -- "$current") ;;
    exec) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    esac
}

complete -F _pipccat pipccat
