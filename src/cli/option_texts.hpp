#pragma once

#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/stt_texts.hpp"
#include "cli/transfer_texts.hpp"

#include <string>

namespace sealine::cli {

/// The arguments as they were typed, before the texts become values.
struct OptionTexts {
  std::string state_dir, color = "auto", log_format, trust, peer_key, identity, allow, psk_file,
                         pad;
  std::string handshake_timeout, idle_timeout, retry, limit_rate, max_connections;
  std::string command, rotate_bytes, rotate_after, max_rate;
  std::string listen, peer, to, output, file, name, key, iv, role, word;
  bool json = false, quiet = false, yes = false, help = false, version = false;
  bool v4 = false, v6 = false, anonymous = false, mutual = false, keep = false;
  bool unsafe_listen = false, psk = false, new_identity = false, qr = false;
  bool any_time = false, raw = false, receipts = false, reconnect = false, has_command = false;
  int verbosity = 0;
  TransferTexts transfer;
  SttTexts stt;
};

// Each makes the values of one command, or says what is wrong with a text. Errors: usage.

[[nodiscard]] Outcome<CommonOptions> common_options(const OptionTexts& t, CommonOptions out);
[[nodiscard]] Outcome<Command> pipe_options(const OptionTexts& t);
[[nodiscard]] Outcome<Command> tunnel_options(const OptionTexts& t);
[[nodiscard]] Outcome<Command> msg_options(const OptionTexts& t);
[[nodiscard]] Outcome<SendOptions> send_options(const OptionTexts& t);
[[nodiscard]] Outcome<RecvOptions> recv_options(const OptionTexts& t);
[[nodiscard]] Outcome<SendOptions> stx_send_options(const OptionTexts& t);
[[nodiscard]] Outcome<RecvOptions> stx_recv_options(const OptionTexts& t);
[[nodiscard]] Outcome<Command> stt_options(const OptionTexts& t, SttOptions::Role role);
[[nodiscard]] Outcome<Command> web_options(const OptionTexts& t);
[[nodiscard]] Outcome<Command> key_new_options(const OptionTexts& t);
[[nodiscard]] Outcome<Command> peers_options(const OptionTexts& t, PeersOptions::Action action);
[[nodiscard]] Outcome<Command> legacy_options(const OptionTexts& t, bool is_sealing);

// What several commands have in common.

[[nodiscard]] Outcome<NetworkOptions> network_options(const OptionTexts& t);
[[nodiscard]] Outcome<TrustOptions> trust_options(const OptionTexts& t);

}  // namespace sealine::cli
