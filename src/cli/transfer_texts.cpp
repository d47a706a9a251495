// The options of send, recv, stx-send and stx-recv.
#include "cli/transfer_texts.hpp"

#include "cli/option_texts.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "sealine/stx/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::uint64_t kLeastBlock = std::uint64_t{1} << stx::kMinBlockLog2;
constexpr std::uint64_t kMostBlock = std::uint64_t{1} << stx::kMaxBlockLog2;

/// One of some words. Errors: usage.
template <class T, std::size_t N>
Outcome<T> one_of(std::string_view flag, const std::string& text,
                  const std::array<std::pair<std::string_view, T>, N>& words) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : words) {
    if (text == name) return value;
    names.push_back(name);
  }
  return usage(
      fmt::format("{} takes one of {}, not {}", flag, fmt::join(names, ", "), in_quotes(text)));
}

Outcome<ProgressChoice> progress_choice(const std::string& text) {
  if (text.empty()) return ProgressChoice::automatic;
  return one_of<ProgressChoice, 3>("--progress", text,
                                   {{{"auto", ProgressChoice::automatic},
                                     {"always", ProgressChoice::always},
                                     {"never", ProgressChoice::never}}});
}

Outcome<io::stx::Compression> compression_choice(const std::string& text) {
  using io::stx::Compression;
  return one_of<Compression, 3>("--compress", text,
                                {{{"auto", Compression::automatic},
                                  {"never", Compression::never},
                                  {"always", Compression::always}}});
}

Outcome<io::stx::OnConflict> conflict_choice(const std::string& text) {
  using io::stx::OnConflict;
  return one_of<OnConflict, 4>("--on-conflict", text,
                               {{{"fail", OnConflict::fail},
                                 {"rename", OnConflict::rename},
                                 {"overwrite", OnConflict::overwrite},
                                 {"newer", OnConflict::newer}}});
}

Outcome<std::uint32_t> block_bytes(std::string_view what, const std::string& text) {
  const auto value = parse_size(text);
  if (!value || *value < kLeastBlock || *value > kMostBlock || !std::has_single_bit(*value)) {
    return usage(
        fmt::format("{} takes a power of two from 16KiB to 1MiB, such as 262144 or 256KiB, not {}",
                    what, in_quotes(text)));
  }
  return static_cast<std::uint32_t>(*value);
}

/// HOST[:PORT]; a lone IPv6 address needs no brackets.
Outcome<HostPort> peer_with_default_port(const std::string& text) {
  const auto colons = std::ranges::count(text, ':');
  const bool is_bracketed = text.starts_with('[');
  const bool has_port = is_bracketed ? !text.ends_with(']') : colons == 1;
  if (has_port) return parse_peer_address(text);
  const std::string host = colons > 1 && !is_bracketed ? fmt::format("[{}]", text) : text;
  return parse_peer_address(fmt::format("{}:{}", host, io::stx::kDefaultPort));
}

/// What both forms of send have.
Outcome<SendOptions> common_send_options(const OptionTexts& t) {
  const TransferTexts& x = t.transfer;
  SendOptions out;
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(trust, trust_options(t));
  SEALINE_TRY(progress, progress_choice(x.progress));
  out.network = network;
  out.trust = trust;
  out.progress = progress;
  out.has_retry = !t.retry.empty();
  out.input_name = x.input_name;
  out.exclude = x.exclude;
  out.dry_run = x.dry_run;
  out.command_line = x.command_line;
  if (x.keys.size() > 1) return usage("a sender takes one --key");
  if (!x.keys.empty()) out.key = x.keys.front();
  if (!x.block.empty()) {
    SEALINE_TRY(bytes, block_bytes("--block", x.block));
    out.block_bytes = bytes;
  }
  if (!x.lanes.empty()) {
    const auto lanes = parse_count(x.lanes, 1, stx::kMaxLanes);
    if (!lanes) {
      return usage(
          fmt::format("--lanes takes 1 to {}, not {}", stx::kMaxLanes, in_quotes(x.lanes)));
    }
    out.lanes = static_cast<std::size_t>(*lanes);
  }
  if (!x.compress.empty()) {
    SEALINE_TRY(choice, compression_choice(x.compress));
    out.compression = choice;
  }
  return out;
}

/// Rules about standard input, which is one stream.
Outcome<> check_input(const SendOptions& out, bool has_name) {
  const auto inputs = std::ranges::count(out.paths, "-");
  if (inputs > 1) return usage("standard input (-) can be sent once");
  if (inputs == 1 && out.input_name.empty()) {
    return usage("standard input has no name of its own: --name NAME");
  }
  if (inputs == 0 && has_name) return usage("--name is for standard input, the PATH -");
  if (inputs == 1 && out.key == "-") {
    return usage("standard input cannot be both the key and what is sent");
  }
  const auto empty = std::ranges::find(out.paths, "");
  if (empty != out.paths.end()) return usage("an empty PATH names nothing");
  return {};
}

/// What both forms of recv have.
Outcome<RecvOptions> common_recv_options(const OptionTexts& t, std::string_view directory) {
  const TransferTexts& x = t.transfer;
  RecvOptions out;
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(trust, trust_options(t));
  SEALINE_TRY(progress, progress_choice(x.progress));
  out.network = network;
  out.trust = trust;
  out.progress = progress;
  if (!directory.empty()) out.directory = directory;
  out.keys.assign(x.keys.begin(), x.keys.end());
  out.once = x.once;
  out.per_sender = x.per_sender;
  out.require_clock = x.require_clock;
  out.any_links = x.any_links;
  out.hook = x.hook;
  if (x.has_hook && x.hook.empty()) return usage("--hook needs a command for sh -c");
  if (x.list && x.discard) return usage("--list and --discard exclude each other");
  if (x.list) out.action = RecvOptions::Action::list;
  if (x.discard) out.action = RecvOptions::Action::discard;
  if (!x.quota.empty()) {
    const auto value = parse_size(x.quota);
    if (!value || *value == 0) {
      return usage(
          fmt::format("--quota takes a size such as 20M or 1GiB, not {}", in_quotes(x.quota)));
    }
    out.quota_bytes = *value;
  }
  if (!x.on_conflict.empty()) {
    SEALINE_TRY(choice, conflict_choice(x.on_conflict));
    out.on_conflict = choice;
  }
  if (std::ranges::count(out.keys, "-") > 1) return usage("standard input is one key file alone");
  return out;
}

}  // namespace

Outcome<SendOptions> send_options(const OptionTexts& t) {
  const std::vector<std::string>& words = t.transfer.words;
  if (words.size() < 2) {
    return usage(words.empty() ? "send needs PATH... and, last, HOST[:PORT]"
                               : "send needs a PATH before HOST[:PORT], the last word");
  }
  SEALINE_TRY(out, common_send_options(t));
  out.paths.assign(words.begin(), words.end() - 1);
  SEALINE_TRY(peer, peer_with_default_port(words.back()));
  out.peer = peer;
  SEALINE_TRY(check_input(out, t.transfer.has_name));
  return out;
}

Outcome<SendOptions> stx_send_options(const OptionTexts& t) {
  const std::vector<std::string>& words = t.transfer.words;
  if (words.size() < 3 || words.size() > 4) {
    return usage("stx-send needs HOST PORT FILE [BLOCK_SIZE]");
  }
  SEALINE_TRY(out, common_send_options(t));
  out.needs_key = true;
  const bool is_plain_v6 = words[0].find(':') != std::string::npos && !words[0].starts_with('[');
  SEALINE_TRY(peer, parse_peer_address(is_plain_v6 ? fmt::format("[{}]:{}", words[0], words[1])
                                                   : fmt::format("{}:{}", words[0], words[1])));
  out.peer = peer;
  out.paths = {words[2]};
  if (words.size() == 4) {
    if (out.block_bytes != 0) return usage("BLOCK_SIZE and --block say the same: give one");
    SEALINE_TRY(bytes, block_bytes("BLOCK_SIZE", words[3]));
    out.block_bytes = bytes;
  }
  SEALINE_TRY(check_input(out, t.transfer.has_name));
  return out;
}

Outcome<RecvOptions> recv_options(const OptionTexts& t) {
  const std::vector<std::string>& words = t.transfer.words;
  if (words.size() > 1) return usage("recv takes one DIR");
  SEALINE_TRY(out, common_recv_options(t, words.empty() ? std::string() : words[0]));
  out.listen.port = io::stx::kDefaultPort;
  if (!t.listen.empty()) {
    SEALINE_TRY(address, parse_listen_address(t.listen));
    out.listen = address;
  }
  return out;
}

Outcome<RecvOptions> stx_recv_options(const OptionTexts& t) {
  SEALINE_TRY(out, common_recv_options(t, t.transfer.out));
  out.needs_key = true;
  if (t.transfer.out.empty()) return usage("stx-recv needs --out DIR");
  if (out.action != RecvOptions::Action::receive) return out;
  if (t.listen.empty()) return usage("stx-recv needs --listen [ADDR:]PORT");
  SEALINE_TRY(address, parse_listen_address(t.listen));
  out.listen = address;
  return out;
}

}  // namespace sealine::cli
