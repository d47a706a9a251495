# fish completion for sealine

function __sealine_peers
    set -l directory $SEALINE_STATE_DIR
    if test -z "$directory"
        if test -n "$XDG_STATE_HOME"
            set directory $XDG_STATE_HOME/sealine
        else
            set directory $HOME/.local/state/sealine
        end
    end
    test -r $directory/known_peers; or return
    string match -rv '^(#|$)' <$directory/known_peers | string replace -r ' .*' ''
end

set -l commands send recv pipe tunnel msg stt web key peers legacy explain version help

complete -c sealine -f
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a send -d 'Files and folders, whatever interrupts it'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a recv -d 'Takes them, from many senders at once'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a pipe -d 'Standard input to a peer, the peer to standard output'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a tunnel -d 'Any TCP service, sealed between two machines'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a key -d 'Make and show keys'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a msg -d 'A line is a message, both ways'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a stt -d 'Many streams in one session'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a web -d 'A page in the browser'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a peers -d 'The keys of servers that were met'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a legacy -d 'Packets of the first STCP description'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a explain -d 'What an error code means'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a version -d 'Which version this is'
complete -c sealine -n "not __fish_seen_subcommand_from $commands" -a help -d 'One screen about a command or a topic'

complete -c sealine -l state-dir -r -a '(__fish_complete_directories)' -d 'Where identity and known peers are'
complete -c sealine -l json -d 'Events as JSON lines'
complete -c sealine -s q -l quiet -d 'Errors and warnings alone'
complete -c sealine -s v -l verbose -d 'Say more'
complete -c sealine -l color -x -a 'auto always never' -d 'Use of colour'
complete -c sealine -l log-format -x -a 'text json' -d 'Form of a listener\'s log'
complete -c sealine -l yes -d 'Take every question as answered with yes'
complete -c sealine -s h -l help -d 'One screen of help'
complete -c sealine -l version -d 'Which version this is'

set -l dialled '__fish_seen_subcommand_from pipe tunnel msg send recv'
set -l net '__fish_seen_subcommand_from pipe tunnel msg send recv stt web'
set -l channel '__fish_seen_subcommand_from pipe tunnel msg'
complete -c sealine -n $net -s 4 -d 'IPv4 alone'
complete -c sealine -n $net -s 6 -d 'IPv6 alone'
complete -c sealine -n $net -l handshake-timeout -x -d 'Time for the handshake (10s)'
complete -c sealine -n $net -l idle-timeout -x -d 'End a connection on which nothing moves'
complete -c sealine -n $net -l retry -x -d 'Go on trying to reach the peer (0)'
complete -c sealine -n $net -l limit-rate -x -d 'Bytes a second'
complete -c sealine -n $dialled -l trust -x -a 'new ask pinned' -d 'What to do with a key never seen'
complete -c sealine -n $dialled -l peer-key -x -d 'The one key to accept, for this run'
complete -c sealine -n $dialled -l identity -r -F -d 'The file that holds our own key'
complete -c sealine -n $dialled -l allow -r -F -d 'The client keys a listener accepts'
complete -c sealine -n $channel -l psk-file -r -F -d 'The file with the shared secret'
complete -c sealine -n $channel -l anonymous -d 'Nobody is authenticated'
complete -c sealine -n '__fish_seen_subcommand_from pipe tunnel' -l mutual -d 'Show our own key too'
complete -c sealine -n $channel -l pad -x -a 'none 256 padme' -d 'Hide sizes'

complete -c sealine -n '__fish_seen_subcommand_from pipe' -s l -l listen -x -d 'Serve a connection'
complete -c sealine -n '__fish_seen_subcommand_from pipe' -l keep -d 'Serve again and again'
complete -c sealine -n '__fish_seen_subcommand_from pipe' -a '(__sealine_peers)'
complete -c sealine -n '__fish_seen_subcommand_from tunnel' -l listen -x -d 'Where connections come in'
complete -c sealine -n '__fish_seen_subcommand_from tunnel' -l to -x -d 'Where they go'
complete -c sealine -n '__fish_seen_subcommand_from tunnel' -l max-connections -x -d 'At once (1024)'
complete -c sealine -n '__fish_seen_subcommand_from tunnel' -l unsafe-listen -d 'Plaintext side off loopback'

complete -c sealine -n '__fish_seen_subcommand_from msg' -s l -l listen -x -d 'Serve channels'
complete -c sealine -n '__fish_seen_subcommand_from msg' -l exec -x -d 'Run for each channel'
complete -c sealine -n '__fish_seen_subcommand_from msg' -l receipts -d 'Say each receipt'
complete -c sealine -n '__fish_seen_subcommand_from msg' -l reconnect -d 'Outlive a lost connection'
complete -c sealine -n '__fish_seen_subcommand_from msg' -l rotate-bytes -x -d 'Fresh keys after so much (1GiB)'
complete -c sealine -n '__fish_seen_subcommand_from msg' -l rotate-after -x -d 'Fresh keys after so long (1h)'
complete -c sealine -n '__fish_seen_subcommand_from msg' -l max-rate -x -d 'Messages a second that the peer may send'
complete -c sealine -n '__fish_seen_subcommand_from msg' -a '(__sealine_peers)'

set -l stt '__fish_seen_subcommand_from stt'
set -l web '__fish_seen_subcommand_from web'
set -l seed '__fish_seen_subcommand_from stt web'
complete -c sealine -n $stt -a 'listen connect forward'
complete -c sealine -n $seed -l seed-file -r -F -d 'The file with the seed'
complete -c sealine -n $seed -l pad -x -a 'none 128 256 512 1024 full' -d 'Hide sizes'
complete -c sealine -n $seed -l origin -x -d 'Pages that may connect'
complete -c sealine -n $seed -l unsafe-listen -d 'Plaintext side off loopback'
complete -c sealine -n $stt -l congestion -x -a 'cubic bbr new-reno' -d 'UDP: how fast may be sent'
complete -c sealine -n $stt -l mtu -x -d 'UDP: what the path takes'
complete -c sealine -n $stt -l workers -x -d 'UDP: threads that listen'
complete -c sealine -n $stt -l passphrase -d 'Asked for, in place of a seed'
complete -c sealine -n $stt -l echo -d 'Every stream comes back'
complete -c sealine -n $stt -l exec -x -d 'Run for each stream'
complete -c sealine -n $stt -l forward -x -d 'Where streams may go'
complete -c sealine -n $stt -s L -x -d 'Listen here, connect there'
complete -c sealine -n $web -s l -l listen -x -d 'Where to listen'
complete -c sealine -n $web -l new-seed -d 'A seed for this run'
complete -c sealine -n $web -l dir -r -a '(__fish_complete_directories)' -d 'Where files land'

set -l send '__fish_seen_subcommand_from send'
set -l recv '__fish_seen_subcommand_from recv'
set -l transfer '__fish_seen_subcommand_from send recv'
complete -c sealine -n $transfer -l key -r -F -d 'The file with the shared key'
complete -c sealine -n $transfer -l progress -x -a 'auto always never' -d 'The line that shows how far it is'
complete -c sealine -n $send -l name -x -d 'What standard input is called there'
complete -c sealine -n $send -l block -x -d 'Bytes of a block (256KiB)'
complete -c sealine -n $send -l lanes -x -d 'Connections at once (1)'
complete -c sealine -n $send -l compress -x -a 'auto never always' -d 'zstd for each block'
complete -c sealine -n $send -l exclude -x -d 'Leave out'
complete -c sealine -n $send -l dry-run -d 'Only say what would be sent'
complete -c sealine -n $send -F
complete -c sealine -n $recv -s l -l listen -x -d 'Where to listen'
complete -c sealine -n $recv -l on-conflict -x -a 'fail rename overwrite newer' -d 'Another file is there'
complete -c sealine -n $recv -l once -d 'End after the first transfer'
complete -c sealine -n $recv -l per-sender -d 'A folder for each sender'
complete -c sealine -n $recv -l quota -x -d 'What one sender may store'
complete -c sealine -n $recv -l hook -x -d 'Run for each finished file'
complete -c sealine -n $recv -l require-clock -d 'Refuse senders with another time'
complete -c sealine -n $recv -l any-links -d 'Links that lead out too'
complete -c sealine -n $recv -l list -d 'Show what is not finished'
complete -c sealine -n $recv -l discard -d 'Delete what is not finished'
complete -c sealine -n $recv -a '(__fish_complete_directories)'
complete -c stx-recv -l out -r -a '(__fish_complete_directories)' -d 'Where files go'
complete -c stx-recv -l listen -x -d 'Where to listen'
complete -c stx-recv -l key -r -F -d 'The file with the shared key'
complete -c stx-send -l key -r -F -d 'The file with the shared key'

complete -c sealine -n '__fish_seen_subcommand_from key; and not __fish_seen_subcommand_from new show' -a 'new show'
complete -c sealine -n '__fish_seen_subcommand_from new' -l psk -d 'A shared secret'
complete -c sealine -n '__fish_seen_subcommand_from new' -l identity -d 'An identity'
complete -c sealine -n '__fish_seen_subcommand_from new' -s o -l output -r -F -d 'A new file'
complete -c sealine -n '__fish_seen_subcommand_from show' -l qr -d 'Draw it as a QR code'
complete -c sealine -n '__fish_seen_subcommand_from show' -F

complete -c sealine -n '__fish_seen_subcommand_from peers; and not __fish_seen_subcommand_from list add replace forget' -a 'list add replace forget'
complete -c sealine -n '__fish_seen_subcommand_from replace forget' -a '(__sealine_peers)'

complete -c sealine -n '__fish_seen_subcommand_from legacy; and not __fish_seen_subcommand_from seal open' -a 'seal open'
complete -c sealine -n '__fish_seen_subcommand_from seal open' -l key -r -F -d 'The file with the key'
complete -c sealine -n '__fish_seen_subcommand_from seal open' -l iv -x -a '16 24 32' -d 'Bytes of the IV'
complete -c sealine -n '__fish_seen_subcommand_from seal open' -l role -x -a 'client server' -d 'Who seals'
complete -c sealine -n '__fish_seen_subcommand_from open' -l any-time -d 'Packets older than 120 s too'
complete -c sealine -n '__fish_seen_subcommand_from open' -l insecure-legacy-raw -d 'AES-CBC of an earlier program'

complete -c sealine -n '__fish_seen_subcommand_from help' -a "$commands options trust exit-codes files events"
