#include "cli/report.hpp"

#include "cli/addresses.hpp"
#include "cli/text.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::uint32_t kLoggedFailuresPerSecond = 20;

std::string key_and_fingerprint(const crypto::PublicKey& key) {
  crypto::Engine& engine = io::thread_engine();
  return fmt::format("{}  {}", crypto::public_key_text(engine, key),
                     crypto::fingerprint(engine, key));
}

Phase phase_of(const io::stcp::Stream& stream) {
  if (stream.statistics().records_received > 0) return Phase::session;
  if (stream.statistics().records_sent > 0) return Phase::unanswered;
  return stream.state() == io::stcp::State::init ? Phase::connect : Phase::handshake;
}

std::string forget_command(const std::string& peer, const std::filesystem::path& state_dir) {
  if (state_dir.empty()) return fmt::format("sealine peers forget {}", shell_word(peer));
  return fmt::format("sealine --state-dir {} peers forget {}", shell_word(state_dir.string()),
                     shell_word(peer));
}

Failure key_changed(const ShownKey& shown, const std::string& peer,
                    const std::filesystem::path& state_dir) {
  Failure out{{Errc::peer_key_changed},
              fmt::format("the key of {} has changed", peer),
              {},
              {},
              kExitAuthentication};
  if (shown.verdict) {
    for (const crypto::PublicKey& pin : shown.verdict->pins) {
      out.details.push_back("pinned  " + key_and_fingerprint(pin));
    }
  }
  if (shown.key) out.details.push_back("shown   " + key_and_fingerprint(*shown.key));
  out.details.emplace_back("somebody may stand between you and the peer; nothing was sent");
  out.hint = fmt::format("if its owner confirms the shown fingerprint: {}",
                         forget_command(peer, state_dir));
  return out;
}

Failure key_refused(const ShownKey& shown, const std::string& peer, bool is_key_given,
                    const PromptRecord& prompt) {
  Failure out{{Errc::peer_key_refused}, {}, {}, {}, kExitRefused};
  std::string text;
  if (shown.key) {
    text = crypto::public_key_text(io::thread_engine(), *shown.key);
    out.details.push_back("shown   " + key_and_fingerprint(*shown.key));
  }
  if (is_key_given) {
    out.text = fmt::format("the key of {} is not the one given with --peer-key", peer);
    if (shown.verdict) {
      for (const crypto::PublicKey& key : shown.verdict->pins) {
        out.details.insert(out.details.begin(), "given   " + key_and_fingerprint(key));
      }
    }
    out.hint = "ask its owner which key is right; nothing was sent";
    out.exit = kExitAuthentication;
  } else if (prompt.could_not_ask) {
    out.text = fmt::format("{} is new, and standard input is no terminal to ask on", peer);
    out.hint = "--yes or --trust new takes its key, --peer-key gives it";
    out.exit = kExitUsage;
  } else if (prompt.was_declined) {
    out.text = fmt::format("{} is new, and its key was not taken", peer);
  } else {
    out.text = fmt::format("{} is not known, and --trust pinned refuses strangers", peer);
    out.hint = fmt::format("sealine peers add {} {}", shell_word(peer), text);
  }
  return out;
}

/// Nobody could be asked about the key: the file of known keys is not in order, and says where.
Failure known_peers_failure(const Error& error, const std::filesystem::path& state_dir) {
  const std::string file = state_dir.empty() ? "known_peers" : (state_dir / "known_peers").string();
  Failure out{error, {}, {}, {}, exit_code(error, Phase::start, Proof::none)};
  const bool is_line = error.code == Errc::bad_file_line;
  out.text = fmt::format("{} {}", in_quotes(file),
                         is_line ? "has a line that cannot be read" : "cannot be used");
  if (is_line) out.hint = "correct or remove that line; comments begin with #";
  return out;
}

/// An end of the connection that the peer did not seal, before it had sealed anything.
bool is_silence(const Error& error, Phase phase) {
  if (phase == Phase::session || phase == Phase::connect) return false;
  static constexpr std::array kEnds{Errc::truncated, Errc::connection_lost, Errc::handshake_timeout,
                                    Errc::peer_fell_silent, Errc::no_answer};
  return std::ranges::find(kEnds, error.code) != kEnds.end();
}

}  // namespace

std::string endpoint_text(const io::net::ip::tcp::endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = io::net::ip::make_address_v4(io::net::ip::v4_mapped, address.to_v6());
  }
  return to_text(HostPort{address.to_string(), endpoint.port()});
}

std::string peer_text(const io::stcp::Stream& stream) {
  return with_plain_ipv4(stream.connected().peer);
}

std::string with_plain_ipv4(const std::string& peer) {
  static constexpr std::string_view kMapped = "[::ffff:";
  const std::size_t close = peer.find(']');
  if (!peer.starts_with(kMapped) || close == std::string::npos) return peer;
  const std::string host = peer.substr(kMapped.size(), close - kMapped.size());
  if (host.find('.') == std::string::npos) return peer;
  return host + peer.substr(close + 1);
}

void report_connected(const io::stcp::Stream& stream, Output& output) {
  const io::stcp::Connected who = stream.connected();
  const std::string peer = peer_text(stream);
  output.say(fmt::format("connected to {} {}", printable(peer), io::stcp::describe(who)));
  Fields fields{{"peer", peer}};
  fields.push_back({"key", who.key ? Value(crypto::public_key_text(io::thread_engine(), *who.key))
                                   : Value(nullptr)});
  fields.push_back({"trust", std::string(io::to_string(who.trust))});
  fields.push_back({"protocol", "STCP/1"});
  fields.push_back({"mode", std::string(stcp::pattern_name(who.mode))});
  fields.push_back({"crypto", "AES-256-GCM"});
  fields.push_back({"sas", who.sas ? Value(io::stcp::sas_text(*who.sas)) : Value(nullptr)});
  if (!who.name.empty()) fields.push_back({"name", who.name});
  output.event("connected", fields);
  if (who.mode == io::stcp::Mode::anonymous) output.warn("encrypted, peer not authenticated");
}

std::optional<Failure> key_failure(const Error& error, const ShownKey& shown,
                                   const std::string& peer, bool is_key_given,
                                   const PromptRecord& prompt,
                                   const std::filesystem::path& state_dir) {
  if (error.code == Errc::peer_key_refused ||
      (error.code == Errc::peer_key_changed && is_key_given)) {
    return key_refused(shown, peer, is_key_given, prompt);
  }
  if (error.code == Errc::peer_key_changed) return key_changed(shown, peer, state_dir);
  if (shown.verdict && shown.verdict->refused) {
    return known_peers_failure(*shown.verdict->refused, state_dir);
  }
  return std::nullopt;
}

Failure silence_failure(const Error& error, const std::string& peer, Proof proof) {
  const bool proves = proof == Proof::secret;
  const bool is_late = error.code == Errc::handshake_timeout;
  Failure out{{proves ? Errc::peer_fell_silent : Errc::no_answer},
              {},
              {},
              {},
              proves ? kExitAuthentication : kExitUnreachable};
  out.text = fmt::format("{} {} {}", peer, is_late ? "kept silent (F9)" : "ended the connection",
                         proves ? "on our proof: the secret or key is wrong, or not accepted there"
                                : "without an answer");
  if (is_late && !proves) out.text = fmt::format("{} kept silent until the deadline (F9)", peer);
  out.hint = proves ? "compare the key files of both ends"
                    : "is it a sealine listener, and does it want --psk-file or --mutual?";
  return out;
}

Failure dial_failure(const Error& error, const io::stcp::Stream& stream, const std::string& peer,
                     const ClientSetup& setup, const std::filesystem::path& state_dir) {
  const ShownKey shown{stream.verdict(), stream.peer().key};
  if (auto out = key_failure(error, shown, peer, setup.is_key_given, *setup.prompt, state_dir)) {
    return *out;
  }
  const Phase phase = phase_of(stream);
  Failure out{error, {}, {}, {}, exit_code(error, phase, setup.proof)};
  if (is_silence(error, phase)) {
    out = silence_failure(error, peer, setup.proof);
    out.exit = exit_code(error, phase, setup.proof);
    return out;
  }
  out.text = fmt::format("{}: {}", peer, to_string(error.code));
  if (error.code == Errc::connection_refused) out.hint = "--retry 1m waits for a listener";
  if (error.code == Errc::truncated) out.hint = "what came is a true beginning, no more";
  return out;
}

Failure session_failure(const Error& error, const std::string& peer) {
  Failure out{error,
              fmt::format("{}: {}", printable(peer), to_string(error.code)),
              {},
              {},
              exit_code(error, Phase::session, Proof::none)};
  if (error.code == Errc::truncated) out.hint = "what came is a true beginning, no more";
  return out;
}

void FailureLog::note(const io::stcp::HandshakeFailure& failure) {
  note(endpoint_text(failure.client), failure.error, failure.key);
}

void FailureLog::note(const std::string& client, const Error& error,
                      const std::optional<crypto::PublicKey>& key) {
  const std::uint64_t now = steady_clock_ms() / 1000;
  if (now != window_) {
    if (suppressed_ > 0) {
      output_->log(LogLevel::warning, "more handshakes failed", {{"count", suppressed_}});
    }
    window_ = now;
    in_window_ = 0;
    suppressed_ = 0;
  }
  if (++in_window_ > kLoggedFailuresPerSecond) {
    ++suppressed_;
    return;
  }
  Fields fields{{"client", client},
                {"code", code_text(error.code)},
                {"reason", std::string(to_string(error.code))}};
  if (const unsigned point = describe(error.code).fault_point; point != 0) {
    fields.push_back({"fault", fmt::format("F{}", point)});
  }
  if (key) fields.push_back({"key", crypto::public_key_text(io::thread_engine(), *key)});
  output_->log(LogLevel::warning, "handshake failed", fields);
}

}  // namespace sealine::cli
