#include "io/detail/scp_server_core.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/detail/scp_linger.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/scp/handshake.hpp"
#include "sealine/scp/limits.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::scp {

using net::ip::tcp;
using ::sealine::scp::ChannelEnd;
using ::sealine::scp::kMaxWireMessageBytes;

namespace {

/// With no descriptor left, so long until the next try.
constexpr std::chrono::milliseconds kDescriptorPause{100};

}  // namespace

ServerCore::ServerCore(ServerOptions options)
    : options_(std::make_shared<const ServerOptions>(std::move(options))),
      budget_(options_->limits) {}

// --- listening
// ------------------------------------------------------------------------------------

Result<> ServerCore::set_options(ServerOptions options) {
  SEALINE_TRY(full, complete(std::make_shared<const ServerOptions>(std::move(options))));
  SEALINE_TRY(check, ::sealine::scp::ServerHandshake::create(full->protocol, thread_engine(),
                                                             system_rng()));
  options_ = std::move(full);
  completed_ = true;
  return {};
}

Result<> ServerCore::bind(const net::any_io_executor& executor, const std::string& host,
                          std::uint16_t port, AddressFamily family) {
  if (!completed_) SEALINE_TRY(set_options(ServerOptions(*options_)));
  if (!retry_) {
    executor_ = executor;
    retry_.emplace(executor_);
    grace_.emplace(executor_);
  }
  error_code ec;
  auto opened =
      detail::open_acceptors(executor_, {host, port, family, options_->limits.backlog}, ec);
  if (ec) return std::unexpected(to_error(ec));
  for (auto& acceptor : opened) {
    stopped_ = false;
    acceptors_.push_back(std::move(acceptor));
    accepting_.push_back(false);
    accept_next(acceptors_.size() - 1);
  }
  return {};
}

std::vector<ServerCore::Endpoint> ServerCore::local_endpoints() const {
  return detail::local_endpoints(acceptors_);
}

// --- accepting
// ------------------------------------------------------------------------------------

bool ServerCore::is_full() const noexcept {
  const ListenerLimits& limits = options_->limits;
  if (ready_.size() + half_open_.size() >= limits.waiting + limits.half_open) return true;
  if (ready_.size() >= limits.waiting) return true;
  return limits.connections != 0 && channels_.size() + half_open_.size() >= limits.connections;
}

void ServerCore::accept_next(std::size_t index) {
  if (stopped_ || accepting_[index] || out_of_descriptors_ || is_full()) return;
  accepting_[index] = true;
  acceptors_[index]->async_accept(executor_, [guard = detail::CoreGuard(shared_from_this()), index](
                                                 const error_code& ec, tcp::socket socket) mutable {
    guard.take()->accepted(index, ec, std::move(socket));
  });
}

void ServerCore::resume_accepting() {
  for (std::size_t i = 0; i < acceptors_.size(); ++i) accept_next(i);
}

void ServerCore::accepted(std::size_t index, const error_code& ec, tcp::socket socket) {
  accepting_[index] = false;
  if (stopped_) return;
  if (ec == net::error::no_descriptors || ec == net::error::no_buffer_space ||
      ec == net::error::no_memory || ec.value() == ENFILE) {
    return pause_for_descriptors();
  }
  if (!ec) {
    ++counts_.accepted;
    error_code gone;
    const Endpoint client = socket.remote_endpoint(gone);
    if (!gone) begin_handshake(std::move(socket), client);
  }
  accept_next(index);
}

void ServerCore::pause_for_descriptors() {
  if (out_of_descriptors_) return;
  out_of_descriptors_ = true;
  report({Endpoint(), Error{Errc::system_error, EMFILE}, std::nullopt, std::nullopt});
  retry_->expires_after(kDescriptorPause);
  retry_->async_wait([guard = detail::CoreGuard(shared_from_this())](const error_code&) mutable {
    const auto self = guard.take();
    self->out_of_descriptors_ = false;
    self->resume_accepting();
  });
}

void ServerCore::begin_handshake(tcp::socket socket, const Endpoint& client) {
  if (const auto refused = budget_.take(client.address(), detail::now())) {
    ++counts_.refused;
    error_code ignored;
    socket.close(ignored);
    return report({client, Error{*refused}, std::nullopt, std::nullopt});
  }
  const std::uint64_t number = ++numbers_;
  const auto handshake = std::make_shared<Accepting>(
      std::move(socket), client, options_,
      [weak = weak_from_this()](const std::optional<crypto::PublicKey>& key,
                                const std::string& address) {
        const auto self = weak.lock();
        return !self || self->table_is_full(key, address);
      },
      [weak = weak_from_this(),
       number](std::expected<Established, HandshakeFailure> result) mutable {
        if (const auto self = weak.lock()) self->handshake_over(number, std::move(result));
      });
  half_open_.emplace(number, handshake);
  handshake->start();
}

void ServerCore::handshake_over(std::uint64_t number,
                                std::expected<Established, HandshakeFailure> result) {
  const auto entry = half_open_.find(number);
  if (entry == half_open_.end()) return;
  const auto handshake = entry->second.lock();
  const Endpoint client = handshake ? handshake->client() : Endpoint();
  half_open_.erase(entry);
  budget_.give_back(client.address());
  if (!result) {
    ++counts_.failed;
    report(result.error());
  } else if (stopped_) {
    // Too late: it meets the end of its connection.
  } else if (result->opening.theirs.resume) {
    take_up(std::move(*result), client);
  } else {
    open_channel(std::move(*result), client);
  }
  if (!stopped_) resume_accepting();
}

void ServerCore::report(const HandshakeFailure& failure) {
  if (observer_) observer_(failure);
}

// --- channels
// -------------------------------------------------------------------------------------

bool ServerCore::table_is_full(const std::optional<crypto::PublicKey>& key,
                               const std::string& address) const {
  if (table_.size() >= options_->resumable_channels) return true;
  if (!key && address.empty()) return false;
  const auto of_client = std::ranges::count_if(table_, [&](const auto& row) {
    return key ? row.second.key == key : !row.second.key && row.second.address == address;
  });
  return static_cast<std::size_t>(of_client) >= options_->resumable_channels_per_client;
}

void ServerCore::take_up(Established established, const Endpoint& client) {
  const auto entry = table_.find(established.opening.theirs.resume->channel_id);
  const auto channel = entry == table_.end() ? nullptr : entry->second.channel.lock();
  if (channel && channel->resume(established)) {
    ++counts_.resumed;
    return;
  }
  std::vector<std::uint8_t> refusal(kMaxWireMessageBytes);
  refusal.resize(ChannelEnd::refuse(established.opening, Code::unknown_channel, refusal));
  (void)::send(established.socket.native_handle(), refusal.data(), refusal.size(),
               MSG_DONTWAIT | MSG_NOSIGNAL);
  linger(std::move(established.socket));
  ++counts_.failed;
  report({client, Error{Errc::channel_unknown}, std::move(established.verdict),
          established.opening.peer.key});
}

void ServerCore::open_channel(Established established, const Endpoint& client) {
  const bool reconnect = established.opening.reconnect;
  const std::uint64_t number = ++numbers_;
  auto channel = std::make_shared<ChannelCore>(options_, std::move(established));
  const auto& machine = *channel->machine();
  const ByteArray<16> id = machine.id();
  Entry entry{channel, machine.peer().key, client.address().to_string()};
  if (reconnect && !table_is_full(entry.key, entry.address)) {
    table_.emplace(id, std::move(entry));
  } else if (reconnect) {
    // XX shows the client's key after the flag was sent: what is one too many is not kept.
    channel->forbid_resume();
  }
  channels_.emplace(number, channel);
  ++counts_.established;
  channel->on_ended([weak = weak_from_this(), number, id] {
    if (const auto self = weak.lock()) self->channel_ended(number, id);
  });
  channel->begin();
  hand_out(std::move(channel));
}

void ServerCore::channel_ended(std::uint64_t number, const ByteArray<16>& id) {
  channels_.erase(number);
  table_.erase(id);
  if (!stopped_) resume_accepting();
  settle_ended();
}

void ServerCore::on_connection(Server::Handler handler) {
  handler_ = std::make_shared<const Server::Handler>(std::move(handler));
}

namespace {

/// Runs a handler and ends its channel.
Task serve_channel(std::shared_ptr<const Server::Handler> handler,
                   std::shared_ptr<ChannelCore> channel) {
  try {
    co_await (*handler)(ChannelCore::make_channel(channel));
  } catch (...) {
    // Its failure is the channel's: the client hears of it, the other channels do not.
    channel->abort(Code::internal);
  }
}

}  // namespace

void ServerCore::hand_out(std::shared_ptr<ChannelCore> channel) {
  if (handler_ && *handler_) {
    net::co_spawn(executor_, serve_channel(handler_, std::move(channel)), net::detached);
    return;
  }
  ready_.push_back(std::move(channel));
  give_to_accept();
}

void ServerCore::give_to_accept() {
  if (!accept_done_ || ready_.empty()) return;
  auto channel = std::move(ready_.front());
  ready_.pop_front();
  net::post(executor_, [done = std::move(accept_done_), channel = std::move(channel)]() mutable {
    detail::complete(std::move(done), Result<std::shared_ptr<ChannelCore>>(std::move(channel)));
  });
}

void ServerCore::start_accept(Accepted accepted) {
  const auto refuse = [this](Accepted done, Errc why) {
    net::post(executor_, [done = std::move(done), why]() mutable {
      detail::complete(std::move(done), Result<std::shared_ptr<ChannelCore>>(fail(why)));
    });
  };
  if (accept_done_) return refuse(std::move(accepted), Errc::operation_in_progress);
  if (stopped_ && ready_.empty()) return refuse(std::move(accepted), Errc::cancelled);
  accept_done_ = std::move(accepted);
  give_to_accept();
  resume_accepting();
}

void ServerCore::cancel_accept() {
  if (!accept_done_) return;
  net::post(executor_, [done = std::move(accept_done_)]() mutable {
    detail::complete(std::move(done), Result<std::shared_ptr<ChannelCore>>(fail(Errc::cancelled)));
  });
}

Broadcast ServerCore::broadcast(ByteView message) {
  Broadcast result;
  for (const auto& [number, weak] : channels_) {
    const auto channel = weak.lock();
    if (!channel) continue;
    if (const auto sent = channel->try_send(message)) {
      ++result.taken;
    } else {
      result.skipped.push_back({channel->machine()->id(), channel->connected(), sent.error()});
    }
  }
  return result;
}

// --- ending
// ---------------------------------------------------------------------------------------

void ServerCore::stop() {
  if (stopped_ || !is_bound()) return;
  stopped_ = true;
  for (const auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->close(ignored);
  }
  retry_->cancel();
  const auto half_open = half_open_;
  for (const auto& [number, weak] : half_open) {
    if (const auto handshake = weak.lock()) handshake->cancel();
  }
  const auto channels = channels_;
  for (const auto& [number, weak] : channels) {
    if (const auto channel = weak.lock()) channel->forbid_resume();
  }
  table_.clear();
  if (ready_.empty()) cancel_accept();
  settle_ended();
}

void ServerCore::go_away() {
  const auto channels = channels_;
  for (const auto& [number, weak] : channels) {
    if (const auto channel = weak.lock()) channel->abort(Code::going_away);
  }
}

void ServerCore::end_after(Duration grace) {
  if (!is_bound()) return;
  grace_->expires_after(grace);
  grace_->async_wait([guard = detail::CoreGuard(shared_from_this())](const error_code& ec) mutable {
    const auto self = guard.take();
    if (!ec) self->go_away();
  });
}

void ServerCore::start_ended(bool all, Ended ended) {
  (all ? drained_done_ : stopped_done_).push_back(std::move(ended));
  settle_ended();
}

void ServerCore::settle_ended() {
  if (is_bound() && !stopped_) return;
  const auto finish = [this](std::vector<Ended>& waiting) {
    for (Ended& ended : waiting) {
      net::post(executor_, [done = std::move(ended)]() mutable {
        detail::complete(std::move(done), Result<bool>(true));
      });
    }
    waiting.clear();
  };
  finish(stopped_done_);
  if (!channels_.empty()) return;
  if (grace_) grace_->cancel();
  finish(drained_done_);
}

void ServerCore::cancel_ended() {
  for (auto* waiting : {&stopped_done_, &drained_done_}) {
    for (Ended& ended : *waiting) {
      net::post(executor_, [done = std::move(ended)]() mutable {
        detail::complete(std::move(done), Result<bool>(fail(Errc::cancelled)));
      });
    }
    waiting->clear();
  }
}

void ServerCore::drop_operations() {
  const Accepted accepted = std::move(accept_done_);
  const auto stopped = std::move(stopped_done_);
  const auto drained = std::move(drained_done_);
  const auto ready = std::move(ready_);
  stopped_done_.clear();
  drained_done_.clear();
  ready_.clear();
}

ServerStatistics ServerCore::statistics() const noexcept {
  ServerStatistics counts = counts_;
  counts.half_open = half_open_.size();
  counts.channels = channels_.size();
  counts.resumable = table_.size();
  return counts;
}

}  // namespace sealine::io::scp
