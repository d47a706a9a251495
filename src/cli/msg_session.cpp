#include "cli/msg_session.hpp"

#include "cli/exit_code.hpp"
#include "cli/join.hpp"
#include "cli/msg_child.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

namespace sealine::cli {
namespace {

constexpr std::size_t kMessagePieceBytes = std::size_t{64} << 10U;

/// The largest message that this program takes or sends (scp.md, limits).
constexpr std::size_t kLineBytes = scp::Limits{}.max_message_bytes;

/// CLOSE{0} of the other end.
bool is_closed_by_peer(const io::scp::Outcome& outcome) {
  return outcome.by_peer && outcome.code == io::scp::Code::normal;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

MsgCounts& MsgCounts::operator+=(const MsgCounts& other) noexcept {
  messages_in += other.messages_in;
  messages_out += other.messages_out;
  receipts += other.receipts;
  unknown += other.unknown;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  return *this;
}

MsgSession::MsgSession(io::scp::Channel channel, const Places& places, Settings settings,
                       Output& output)
    : channel_(std::move(channel)),
      places_(places),
      settings_(std::move(settings)),
      output_(&output),
      up_(settings_.rate),
      down_(settings_.rate),
      up_pause_(channel_.get_executor()),
      down_pause_(channel_.get_executor()),
      idle_(channel_.get_executor()),
      peer_ended_(channel_.get_executor(), net::steady_timer::time_point::max()),
      last_moved_(Clock::now()) {}

net::awaitable<void> MsgSession::run() {
  channel_.on_event([this](const io::scp::Event& event) { on_event(event); });
  co_await both(both(send(), receive()), both(watch(), watch_idleness()));
  channel_.on_event({});
  if (places_.command != nullptr && !status_) {
    places_.command->terminate();
    status_ = co_await places_.command->wait();
  }
}

void MsgSession::abort(io::scp::Code code) {
  is_aborted_ = true;
  channel_.abort(code);
  if (places_.command != nullptr) places_.command->terminate();
}

bool MsgSession::was_answered() const noexcept {
  return counts_.messages_in > 0 || has_peer_ended_ || channel_.receipted() > 0;
}

MsgCounts MsgSession::counts() const noexcept {
  MsgCounts out = counts_;
  // END is counted among the receipts, and is no message of the user's.
  out.receipts = std::min(channel_.receipted(), out.messages_out);
  out.unknown = outcome_ ? out.messages_out - out.receipts : 0;
  return out;
}

// --- lines to messages ---------------------------------------------------------------------------

net::awaitable<void> MsgSession::send() {
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kMessagePieceBytes);
  LineBuffer lines(kLineBytes);
  for (;;) {
    const auto n = co_await places_.ends.read({buffer.get(), up_.piece(kMessagePieceBytes)});
    if (!n) {
      if (n.error().code != Errc::cancelled) fail_locally(n.error());
      co_return;
    }
    if (*n == 0) break;
    lines.append({buffer.get(), *n});
    if (co_await send_lines(lines)) continue;
    co_await let_command_end();
    co_return;
  }
  const bool is_all_sent = lines.rest().empty() || co_await send_line(lines.rest());
  if (is_all_sent) {
    co_await end_sending();
  } else {
    co_await let_command_end();
  }
}

/// A peer that closes has not taken back what it sent: the command gets all of it and ends in its
/// own time, though nobody reads it any more.
net::awaitable<void> MsgSession::let_command_end() {
  if (places_.command == nullptr) co_return;
  const io::scp::Outcome how = co_await channel_.closed();
  if (!is_closed_by_peer(how)) co_return;
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kMessagePieceBytes);
  for (;;) {
    const auto n = co_await places_.ends.read({buffer.get(), kMessagePieceBytes});
    if (!n) co_return;
    if (*n == 0) break;
  }
  status_ = co_await places_.command->wait();
}

net::awaitable<bool> MsgSession::send_lines(LineBuffer& lines) {
  while (const auto line = lines.next()) {
    if (!co_await send_line(*line)) co_return false;
  }
  if (!lines.is_too_long()) co_return true;
  co_await give_up_line({Errc::message_too_large});
  co_return false;
}

net::awaitable<bool> MsgSession::send_line(std::string_view line) {
  co_await up_.take(line.size() + 1, up_pause_);
  const std::uint64_t number = counts_.messages_out;
  const bool is_timed = settings_.shows_receipts || output_->is_json();
  if (is_timed) sent_at_.push_back(Clock::now());
  auto taken = channel_.try_enqueue(line);
  if (!taken && taken.error().code == Errc::window_full) {
    taken = co_await channel_.enqueue(line, io::scp::as_result);
  }
  if (!taken) {
    if (is_timed) sent_at_.pop_back();
    if (taken.error().code == Errc::message_too_large) {
      co_await give_up_line(taken.error());
    } else {
      has_unsent_ = true;  // the channel has ended, and says itself why
    }
    co_return false;
  }
  ++counts_.messages_out;
  counts_.bytes_out += line.size();
  last_moved_ = Clock::now();
  pad(line.size());
  if (places_.events != nullptr) {
    tell("out", number, line);
    if (const auto room = co_await places_.events->room(); !room) {
      fail_locally(room.error());
      co_return false;
    }
  }
  co_return true;
}

void MsgSession::pad(std::size_t size) {
  const std::size_t whole = stcp::padded_size(settings_.padding, size, kLineBytes);
  if (whole > size) channel_.pad(whole - size);
}

/// A line that cannot be sent. What was sent before it arrives; then the peer is told that this was
/// not all.
net::awaitable<void> MsgSession::give_up_line(Error error) {
  const std::uint64_t line = counts_.messages_out + 1;
  const bool is_ours = places_.command == nullptr;
  local_ = Failure{error,
                   fmt::format("line {} {} is longer than a message may be", line,
                               is_ours ? "of standard input" : "of the command"),
                   {},
                   "messages have 16 MiB at most",
                   {}};
  static_cast<void>(co_await channel_.receipts(channel_.sent(), io::scp::as_result));
  abort(io::scp::Code::internal);
}

net::awaitable<void> MsgSession::end_sending() {
  has_ended_ = true;
  if (places_.command == nullptr) {
    channel_.end();
    co_return;
  }
  status_ = co_await places_.command->wait();
  if (*status_ != 0) {
    output_->log(LogLevel::warning, "command failed",
                 {{"peer", settings_.peer}, {"status", static_cast<std::uint64_t>(*status_)}});
    static_cast<void>(co_await channel_.receipts(channel_.sent(), io::scp::as_result));
    if (outcome_) co_return;
    has_command_failed_ = true;
    abort(io::scp::Code::internal);
    co_return;
  }
  while (!has_peer_ended_ && !outcome_) {
    error_code ec;
    co_await peer_ended_.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  channel_.end();
}

// --- messages to lines ---------------------------------------------------------------------------

net::awaitable<void> MsgSession::receive() {
  for (;;) {
    const auto ready = co_await channel_.wait(io::scp::as_result);
    if (!ready) co_return;  // watch() knows why
    if (!*ready) break;
    if (!co_await take_batch()) co_return;
  }
  has_peer_ended_ = true;
  const bool goes_on = !has_ended_ && channel_.state() == io::scp::State::open;
  if (goes_on && places_.ends.is_terminal()) {
    output_->say(
        fmt::format("{} has ended; end your input (Ctrl-D) too", printable(settings_.peer)));
  }
  if (places_.command != nullptr || places_.events == nullptr) places_.ends.close_output();
  peer_ended_.cancel();
}

net::awaitable<bool> MsgSession::take_batch() {
  batch_.clear();
  std::size_t bytes = 0;
  while (const auto message = channel_.front()) {
    const std::string_view text = as_text(*message);
    bytes += text.size() + 1;
    if (places_.events != nullptr) tell("in", counts_.messages_in, text);
    if (places_.command != nullptr || places_.events == nullptr) {
      batch_.append(text);
      batch_ += '\n';
    }
    ++counts_.messages_in;
    counts_.bytes_in += text.size();
    channel_.pop();
    if (bytes >= down_.piece(kMessagePieceBytes)) break;
  }
  last_moved_ = Clock::now();
  Result<> done;
  if (places_.events != nullptr) done = co_await places_.events->room();
  if (done && !batch_.empty()) done = co_await places_.ends.write(as_bytes(batch_));
  if (!done) {
    fail_locally(done.error());
    co_return false;
  }
  co_await down_.take(bytes, down_pause_);
  co_return true;
}

// --- what happens beside -------------------------------------------------------------------------

net::awaitable<void> MsgSession::watch() {
  outcome_ = co_await channel_.closed();
  stop_waiting();
}

void MsgSession::stop_waiting() {
  if (places_.command == nullptr || !is_closed_by_peer(*outcome_)) places_.ends.cancel();
  up_pause_.cancel();
  idle_.cancel();
  peer_ended_.cancel();
}

net::awaitable<void> MsgSession::watch_idleness() {
  const Duration limit = settings_.idle_timeout.value_or(Duration::zero());
  if (limit == Duration::zero()) co_return;
  while (!outcome_) {
    const auto due = last_moved_ + std::chrono::duration_cast<Clock::duration>(limit);
    if (Clock::now() >= due) {
      if (!local_) {
        local_ = Failure{{Errc::idle_timeout},
                         fmt::format("{}: nothing was sent or received for {}", settings_.peer,
                                     format_duration(limit)),
                         {},
                         {},
                         {}};
      }
      co_return abort(io::scp::Code::timeout);
    }
    idle_.expires_at(due);
    error_code ec;
    co_await idle_.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
}

void MsgSession::fail_locally(const Error& error) {
  if (local_ || is_aborted_ || error.code == Errc::cancelled) return;
  local_ = Failure{error,
                   places_.command == nullptr ? "standard input or output failed"
                                              : "the pipes of the command failed",
                   {},
                   {},
                   {}};
  abort(io::scp::Code::going_away);
  places_.ends.cancel();
}

void MsgSession::on_event(const io::scp::Event& event) {
  if (const auto* receipts = std::get_if<io::scp::Receipts>(&event)) {
    on_receipts(receipts->up_to);
  } else if (std::holds_alternative<io::scp::ConnectionLost>(event)) {
    note("connection lost", {{"peer", settings_.peer}});
  } else if (std::holds_alternative<io::scp::Opened>(event)) {
    note("connected again", {{"peer", settings_.peer},
                             {"connection", std::uint64_t{channel_.statistics().connections}}});
  } else if (const auto* rotated = std::get_if<io::scp::Rotated>(&event)) {
    output_->log(LogLevel::info, "fresh keys",
                 {{"peer", settings_.peer}, {"rotation", std::uint64_t{rotated->rotations}}});
  }
}

/// For people a line, for programs an event; in the log of a listener with --exec a line too.
void MsgSession::note(std::string_view what, const Fields& fields) {
  if (output_->is_json() || places_.command != nullptr) {
    output_->log(LogLevel::warning, what, fields);
  } else {
    output_->say(fmt::format("{}: {}", printable(settings_.peer), what));
  }
}

void MsgSession::on_receipts(std::uint64_t up_to) {
  last_moved_ = Clock::now();
  for (; receipts_told_ < up_to && !sent_at_.empty(); ++receipts_told_) {
    const double seconds = seconds_since(sent_at_.front());
    sent_at_.pop_front();
    output_->event("receipt", {{"seq", receipts_told_}, {"seconds", seconds}});
    if (settings_.shows_receipts) {
      output_->say(fmt::format("receipt {}, after {:.3f} ms", receipts_told_, seconds * 1000));
    }
  }
}

void MsgSession::tell(std::string_view direction, std::uint64_t number, std::string_view text) {
  Fields fields{{"seq", number},
                {"dir", std::string(direction)},
                {"size", static_cast<std::uint64_t>(text.size())}};
  if (is_utf8(text)) {
    fields.push_back({"text", std::string(text)});
  } else {
    fields.push_back({"b64", base64(text)});
  }
  if (places_.command != nullptr) fields.push_back({"peer", settings_.peer});
  output_->event("message", fields);
}

}  // namespace sealine::cli
