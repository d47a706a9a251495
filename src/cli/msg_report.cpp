#include "cli/msg_report.hpp"

#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sealine::cli {
namespace {

using scp::Mode;

/// An end, or silence, that the peer did not seal.
bool is_silence(const Error& error) {
  static constexpr std::array kEnds{Errc::truncated, Errc::connection_lost, Errc::handshake_timeout,
                                    Errc::peer_fell_silent, Errc::no_answer};
  return std::ranges::find(kEnds, error.code) != kEnds.end();
}

/// Whether the client has proved something when the peer fell silent: from the first byte in the
/// modes with a secret or a known key, in XX once the server's key was there to answer.
Proof proof_of(Mode mode, bool was_key_shown) {
  switch (mode) {
    case Mode::anonymous:
      return Proof::none;
    case Mode::mutual:
      return was_key_shown ? Proof::secret : Proof::none;
    case Mode::pinned:
    case Mode::psk:
    case Mode::pinned_psk:
      break;
  }
  return Proof::secret;
}

Error error_of(const io::scp::Outcome& outcome) {
  return outcome.error == Error{} ? Error{errc_of(outcome.code)} : outcome.error;
}

/// A channel that could be resumed ends so when nothing more can be done for it.
bool is_lost_for_good(Errc code) {
  return code == Errc::channel_unknown || code == Errc::gave_up || code == Errc::peer_key_changed ||
         code == Errc::peer_key_refused;
}

std::string fate(const MsgCounts& counts) {
  return fmt::format("{} of {} messages have their receipt, {} of unknown fate", counts.receipts,
                     counts.messages_out, counts.unknown);
}

}  // namespace

std::string peer_text(const io::scp::Channel& channel) {
  return with_plain_ipv4(channel.connected().peer);
}

void report_connected(const io::scp::Channel& channel, Output& output) {
  const io::scp::Connected who = channel.connected();
  const std::string peer = peer_text(channel);
  output.say(fmt::format("connected to {} {}", printable(peer), io::scp::describe(who)));
  Fields fields{{"peer", peer}};
  fields.push_back({"key", who.key ? Value(crypto::public_key_text(io::thread_engine(), *who.key))
                                   : Value(nullptr)});
  fields.push_back({"trust", std::string(io::to_string(who.trust))});
  fields.push_back({"protocol", "SCP/1"});
  fields.push_back({"mode", std::string(scp::pattern_name(who.mode))});
  fields.push_back({"crypto", "AES-256-GCM"});
  fields.push_back({"sas", nullptr});
  if (!who.name.empty()) fields.push_back({"name", who.name});
  output.event("connected", fields);
  if (who.mode == Mode::anonymous) output.warn("encrypted, peer not authenticated");
}

Failure connect_failure(const io::scp::ConnectFailure& failure, const std::string& peer,
                        const MsgClientSetup& setup, const std::filesystem::path& state_dir) {
  const ShownKey shown{failure.verdict, failure.key};
  const Error error = failure.error;
  if (auto out = key_failure(error, shown, peer, setup.is_key_given, *setup.prompt, state_dir)) {
    return *out;
  }
  const Proof proof = proof_of(setup.options->protocol.mode, failure.key.has_value());
  if (failure.was_connected && is_silence(error)) {
    Failure out = silence_failure(error, peer, proof);
    if (proof == Proof::none) {
      out.hint = "is it a `sealine msg` listener, and does it want --psk-file or --anonymous?";
    } else if (setup.is_key_given) {
      out.hint = "is --peer-key its key (sealine key show), and is ours accepted there?";
    }
    return out;
  }
  const Phase phase = failure.was_connected ? Phase::handshake : Phase::connect;
  Failure out{error,
              fmt::format("{}: {}", peer, to_string(error.code)),
              {},
              {},
              exit_code(error, phase, proof)};
  if (error.code == Errc::connection_refused) out.hint = "--retry 1m waits for a listener";
  return out;
}

std::optional<Failure> session_failure(const MsgSession& session, Proof proof) {
  if (session.local_failure()) return session.local_failure();
  if (!session.outcome() || session.has_command_failed()) return std::nullopt;
  const io::scp::Outcome& outcome = *session.outcome();
  const MsgCounts counts = session.counts();
  const std::string peer = printable(session.peer());
  if (outcome.code == io::scp::Code::normal) {
    if (counts.unknown == 0 && !session.has_unsent_lines()) return std::nullopt;
    return Failure{{Errc::already_closed},
                   fmt::format("{} closed the channel before it had all of ours", peer),
                   {fate(counts)},
                   {},
                   kExitFailure};
  }
  const Error error = error_of(outcome);
  if (is_silence(error) && !session.was_answered() && proof == Proof::secret) {
    return silence_failure(error, peer, proof);
  }
  Failure out{error,
              fmt::format("{}: {}", peer, to_string(error.code)),
              {fate(counts)},
              {},
              exit_code(error, Phase::session, Proof::none)};
  if (is_lost_for_good(error.code)) {
    out.text = fmt::format("{}: the channel is lost: {}", peer, to_string(error.code));
    out.exit = kExitFailure;
  }
  return out;
}

io::stcp::HandshakeFailure as_logged(const io::scp::HandshakeFailure& failure) {
  return {failure.client, failure.error, failure.verdict, failure.key};
}

}  // namespace sealine::cli
