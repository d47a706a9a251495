#pragma once

#include "cli/asio.hpp"
#include "cli/event_queue.hpp"
#include "cli/msg_lines.hpp"
#include "cli/output.hpp"
#include "cli/rate_limit.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/stcp/padding.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace sealine::cli {

class Child;

/// What `msg` has carried.
struct MsgCounts {
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t receipts = 0;  ///< of those out
  std::uint64_t unknown = 0;   ///< without receipt when their channel ended
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;

  MsgCounts& operator+=(const MsgCounts& other) noexcept;
};

/// Lines to messages and messages to lines, until the channel has ended.
///
/// The end of our lines is END; the channel closes when both ends have said it. A command's END
/// follows that of the peer and of the command.
class MsgSession final {
 public:
  struct Settings {
    std::string peer;  ///< for people
    bool shows_receipts = false;
    std::uint64_t rate = 0;  ///< bytes a second, each direction; 0: no limit
    std::optional<Duration> idle_timeout;
    stcp::Padding padding = stcp::PadNone{};
  };

  /// `command` is `ends`, where these are a command's; `events` is null without --json.
  struct Places {
    LineEnds& ends;
    Child* command = nullptr;
    EventQueue* events = nullptr;
  };

  MsgSession(io::scp::Channel channel, const Places& places, Settings settings, Output& output);

  [[nodiscard]] net::awaitable<void> run();

  /// Ends it with a code for the peer, which says nothing of ours. run() ends soon.
  void abort(io::scp::Code code);

  [[nodiscard]] io::scp::Channel& channel() noexcept { return channel_; }

  [[nodiscard]] const std::string& peer() const noexcept { return settings_.peer; }

  /// What failed here: standard input or output, a line that is too long.
  [[nodiscard]] const std::optional<Failure>& local_failure() const noexcept { return local_; }

  /// How the channel ended; nothing before.
  [[nodiscard]] const std::optional<io::scp::Outcome>& outcome() const noexcept { return outcome_; }

  /// The channel ended well, but lines of ours were not sent any more.
  [[nodiscard]] bool has_unsent_lines() const noexcept { return has_unsent_; }

  /// The command has failed, and the channel was ended for that.
  [[nodiscard]] bool has_command_failed() const noexcept { return has_command_failed_; }

  /// Messages of the peer or receipts of ours came: it has sealed an answer to our proof.
  [[nodiscard]] bool was_answered() const noexcept;

  /// The command's exit status, if there was one and it has ended.
  [[nodiscard]] std::optional<int> status() const noexcept { return status_; }

  [[nodiscard]] MsgCounts counts() const noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] net::awaitable<void> send();
  [[nodiscard]] net::awaitable<bool> send_lines(LineBuffer& lines);
  [[nodiscard]] net::awaitable<bool> send_line(std::string_view line);
  [[nodiscard]] net::awaitable<void> let_command_end();
  [[nodiscard]] net::awaitable<void> end_sending();
  [[nodiscard]] net::awaitable<void> receive();
  [[nodiscard]] net::awaitable<bool> take_batch();
  [[nodiscard]] net::awaitable<void> watch();
  [[nodiscard]] net::awaitable<void> watch_idleness();
  [[nodiscard]] net::awaitable<void> give_up_line(Error error);
  void fail_locally(const Error& error);
  void on_event(const io::scp::Event& event);
  void note(std::string_view what, const Fields& fields);
  void on_receipts(std::uint64_t up_to);
  void pad(std::size_t size);
  void tell(std::string_view direction, std::uint64_t number, std::string_view text);
  void stop_waiting();

  io::scp::Channel channel_;
  Places places_;
  Settings settings_;
  Output* output_;
  RateLimit up_;
  RateLimit down_;
  net::steady_timer up_pause_;
  net::steady_timer down_pause_;
  net::steady_timer idle_;
  net::steady_timer peer_ended_;
  std::string batch_;
  std::deque<Clock::time_point> sent_at_;  ///< of messages without receipt, where that is shown
  std::uint64_t receipts_told_ = 0;
  MsgCounts counts_;
  std::optional<Failure> local_;
  std::optional<io::scp::Outcome> outcome_;
  std::optional<int> status_;
  Clock::time_point last_moved_;
  bool has_ended_ = false;
  bool has_peer_ended_ = false;
  bool has_unsent_ = false;
  bool has_command_failed_ = false;
  bool is_aborted_ = false;
};

}  // namespace sealine::cli
