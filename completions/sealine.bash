# bash completion for sealine
_sealine() {
  local cur prev words cword
  if declare -F _init_completion >/dev/null; then
    _init_completion -n : || return
  else
    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
  fi

  local common='--state-dir --json -q --quiet -v -vv --color --log-format --yes --help --version'
  local network='-4 -6 --handshake-timeout --idle-timeout --retry --limit-rate'
  local trust='--trust --peer-key --identity --allow --psk-file --anonymous --pad'
  local transfer='--key --trust --peer-key --identity --allow --progress'
  local commands='send recv pipe tunnel msg stt web key peers legacy explain version help'
  local topics="$commands options trust exit-codes files events"

  local command='' action='' word i
  case ${words[0]##*/} in stx-send | stx-recv) command=${words[0]##*/} ;; esac
  for ((i = 1; i < cword; i++)); do
    word=${words[i]}
    case $word in
      --state-dir | --color | --log-format) ((i++)) ;;
      -*) ;;
      *)
        if [[ -z $command ]]; then
          command=$word
        elif [[ -z $action ]]; then
          action=$word
        fi
        ;;
    esac
  done

  local candidates=''
  case $prev in
    --color) candidates='auto always never' ;;
    --log-format) candidates='text json' ;;
    --trust) candidates='new ask pinned' ;;
    --pad)
      candidates='none 256 padme'
      [[ $command == stt || $command == web ]] && candidates='none 128 256 512 1024 full'
      ;;
    --congestion) candidates='cubic bbr new-reno' ;;
    --iv) candidates='16 24 32' ;;
    --role) candidates='client server' ;;
    --compress) candidates='auto never always' ;;
    --progress) candidates='auto always never' ;;
    --on-conflict) candidates='fail rename overwrite newer' ;;
    --lanes) candidates='1 2 4 8 16' ;;
    --state-dir | --out | --dir)
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      return
      ;;
    --identity | --allow | --psk-file | --key | --seed-file | -o | --output)
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --handshake-timeout | --idle-timeout | --retry | --limit-rate | --max-connections | --peer-key | -l | \
      --name | --block | --exclude | --quota | --hook | --exec | --rotate-bytes | --rotate-after | --max-rate | \
      --forward | -L | --origin | --mtu | --workers)
      return
      ;;
  esac
  if [[ -z $candidates ]]; then
    case $command in
      '') candidates="$commands $common" ;;
      pipe) candidates="-l --listen --keep --mutual $trust $network $common $(_sealine_peers)" ;;
      tunnel) candidates="--listen --to --max-connections --unsafe-listen --mutual $trust $network $common" ;;
      msg)
        candidates="-l --listen --exec --receipts --reconnect --rotate-bytes --rotate-after --max-rate"
        candidates+=" $trust $network $common $(_sealine_peers)"
        ;;
      stt)
        case $action in
          '') candidates='listen connect forward' ;;
          listen) candidates='--echo --exec --forward --origin --workers' ;;
          connect) candidates='--exec' ;;
          forward) candidates='-L --unsafe-listen' ;;
        esac
        [[ -n $action ]] && candidates+=" --seed-file --passphrase --pad --congestion --mtu $network $common"
        ;;
      web)
        candidates="-l --listen --new-seed --seed-file --dir --origin --unsafe-listen --pad $network $common"
        ;;
      send | stx-send)
        if [[ $cur != -* ]]; then
          mapfile -t COMPREPLY < <(compgen -f -- "$cur")
          [[ $command == send && -z $action ]] || mapfile -O "${#COMPREPLY[@]}" -t COMPREPLY < <(
            compgen -W "$(_sealine_peers)" -- "$cur"
          )
          return
        fi
        candidates="--name --block --lanes --compress --exclude --dry-run $transfer $network $common"
        ;;
      recv | stx-recv)
        if [[ $cur != -* ]]; then
          mapfile -t COMPREPLY < <(compgen -d -- "$cur")
          return
        fi
        candidates="-l --listen --once --per-sender --quota --hook --list --discard --require-clock --any-links"
        candidates+=" --on-conflict $transfer $network $common"
        [[ $command == stx-recv ]] && candidates+=' --out'
        ;;
      key)
        case $action in
          '') candidates='new show' ;;
          new) candidates="--psk --identity -o --output $common" ;;
          show)
            if [[ $cur != -* ]]; then
              mapfile -t COMPREPLY < <(compgen -f -- "$cur")
              return
            fi
            candidates="--qr $common"
            ;;
        esac
        ;;
      peers)
        case $action in
          '') candidates='list add replace forget' ;;
          replace | forget) candidates="$(_sealine_peers) $common" ;;
          *) candidates=$common ;;
        esac
        ;;
      legacy)
        case $action in
          '') candidates='seal open' ;;
          seal) candidates="--key --iv --role $common" ;;
          open) candidates="--key --iv --role --any-time --insecure-legacy-raw $common" ;;
        esac
        ;;
      explain) candidates='SL-' ;;
      help) candidates=$topics ;;
      *) candidates=$common ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$cur")
  if declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions "$cur"
  fi
}

# The names of servers that were met.
_sealine_peers() {
  local directory=${SEALINE_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/sealine} line
  [[ -r $directory/known_peers ]] || return 0
  while read -r line _; do
    [[ -n $line && $line != \#* ]] && printf '%s\n' "$line"
  done <"$directory/known_peers"
}

complete -F _sealine sealine stx-send stx-recv
