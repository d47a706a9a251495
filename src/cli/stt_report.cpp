#include "cli/stt_report.hpp"

#include "cli/addresses.hpp"
#include "cli/exit_code.hpp"
#include "cli/report.hpp"
#include "cli/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sealine::cli {
namespace {

bool is_of_connecting(Errc code) {
  static constexpr std::array kCodes{Errc::name_not_found, Errc::unreachable,
                                     Errc::connection_refused, Errc::connect_timeout,
                                     Errc::system_error};
  return std::ranges::find(kCodes, code) != kCodes.end();
}

}  // namespace

std::string peer_text(const io::stt::Session& session) {
  return with_plain_ipv4(session.connected().peer);
}

void report_connected(const io::stt::Session& session, Output& output) {
  const io::stt::Connected who = session.connected();
  const std::string peer = peer_text(session);
  output.say(fmt::format("connected to {} {}", printable(peer), io::stt::describe(who)));
  output.event("connected", {{"peer", peer},
                             {"key", nullptr},
                             {"trust", "seed"},
                             {"protocol", "STT/1"},
                             {"mode", std::string(io::stt::transport_name(who))},
                             {"crypto", "AES-256-GCM"},
                             {"sas", nullptr},
                             {"forward_secrecy", who.forward_secrecy}});
}

Failure stt_connect_failure(const Error& error, const io::stt::Url& url) {
  const std::string peer = to_text(HostPort{url.host, url.port});
  if (error.code == Errc::peer_fell_silent) {
    Failure out = silence_failure(error, peer, Proof::secret);
    out.text =
        fmt::format("{} did not take our proof: the seed is wrong, or not accepted there", peer);
    out.hint = "compare the seed files of both ends";
    if (url.scheme == io::stt::Scheme::udp) {
      // Over UDP a refusal is silence, and so is a filter.
      out.text = fmt::format("{} does not answer: the seed is wrong, or no datagram passes", peer);
      out.hint = "compare the seed files of both ends; stt:// goes where datagrams do not";
    }
    return out;
  }
  const Phase phase = is_of_connecting(error.code) ? Phase::connect : Phase::handshake;
  Failure out{error, fmt::format("{}: {}", peer, to_string(error.code)), {}, {}, {}};
  out.exit = exit_code(error, phase, Proof::none);
  if (error.code == Errc::connection_refused) out.hint = "--retry 1m waits for a listener";
  if (error.code == Errc::not_this_protocol) {
    out.hint = fmt::format("is it a `sealine stt` listener, and is its path {}?", url.path);
  }
  if (error.code == Errc::certificate_untrusted) {
    out.hint = "SSL_CERT_FILE=FILE names an authority of your own";
  }
  if (error.code == Errc::no_tls) {
    out.hint = "`sealine stt listen` speaks ws://; TLS is the business of a proxy in front of it";
  }
  return out;
}

std::optional<Failure> stt_session_failure(const io::stt::Session& session) {
  const auto& ended = session.outcome();
  if (!ended || (ended->code == 0 && ended->fault == Error{})) return std::nullopt;
  const Error error = ended->fault == Error{} ? Error{Errc::aborted, ended->code} : ended->fault;
  Failure out{error,
              fmt::format("{}: {}", printable(peer_text(session)), to_string(error.code)),
              {},
              {},
              exit_code(error, Phase::session, Proof::none)};
  // No word for so long: over UDP that is how a lost peer looks.
  const bool is_udp = session.connected().scheme == io::stt::Scheme::udp;
  if (is_udp && error.code == Errc::idle_timeout) out.exit = kExitDamaged;
  if (!ended->reason.empty()) out.details.push_back("it says " + in_quotes(ended->reason));
  if (error.code == Errc::truncated) out.hint = "what came is a true beginning, no more";
  return out;
}

Failure stt_stream_failure(const Error& error, const std::string& peer) {
  Failure out{error,
              fmt::format("{}: {}", printable(peer), to_string(error.code)),
              {},
              {},
              exit_code(error, Phase::session, Proof::none)};
  if (error.code == Errc::truncated) out.hint = "what came is a true beginning, no more";
  return out;
}

}  // namespace sealine::cli
