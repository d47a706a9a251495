// QUIC by ngtcp2 with GnuTLS, driven directly: one connection, one stream of two directions.
// Settings as its manual names them: trains of datagrams of one size (UDP_SEGMENT, UDP_GRO) up to
// the send quantum, pacing by its own clock, no PMTU discovery, large windows. AES-256-GCM, X25519,
// a certificate with ECDSA P-256 that the client verifies.
//   cc=cubic|bbr|bbr2|reno   congestion control (cubic)
//   datagram=BYTES           of every full datagram (1472)
//   window=BYTES             flow control, and what may wait to be acknowledged (1 MiB)
//   ack=COUNT                packets for one acknowledgement (10; ngtcp2's own choice is 2)
//   address=IP               the server's (127.0.0.1)
#include "quic/tls.hpp"
#include "support/program.hpp"
#include "support/udp.hpp"

#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <utility>
#include <vector>

namespace sealine::bench {
namespace {

constexpr std::size_t kIdBytes = 8;
constexpr std::size_t kTrainBytes = 65'507;
constexpr std::size_t kTrainDatagrams = 64;  // the kernel's limit
constexpr ngtcp2_duration kIdleTimeout = 30 * NGTCP2_SECONDS;
// A shorter wait is not worth its wake-up: what it would wait for is passed by then.
constexpr ngtcp2_duration kShortestWait = 50 * NGTCP2_MICROSECONDS;

ngtcp2_tstamp now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<ngtcp2_tstamp>(time.tv_sec) * NGTCP2_SECONDS +
         static_cast<ngtcp2_tstamp>(time.tv_nsec);
}

void check(ngtcp2_ssize result, const char* what) {
  if (result < 0) {
    throw std::runtime_error(std::string(what) + ": " + ngtcp2_strerror(static_cast<int>(result)));
  }
}

void fill_random(std::uint8_t* out, std::size_t size) {
  if (gnutls_rnd(GNUTLS_RND_RANDOM, out, size) != 0) throw std::runtime_error("gnutls_rnd");
}

ngtcp2_cid random_id() {
  ngtcp2_cid id{};
  id.datalen = kIdBytes;
  fill_random(id.data, id.datalen);
  return id;
}

struct Settings {
  ngtcp2_cc_algo congestion = NGTCP2_CC_ALGO_CUBIC;
  std::size_t datagram_bytes = 0;
  std::size_t window_bytes = 0;
  std::size_t packets_per_ack = 0;
  std::string address;

  static Settings from(const Options& options) {
    return {.congestion = algorithm(options.text("cc", "cubic")),
            .datagram_bytes = options.number("datagram", 1472),
            .window_bytes = options.number("window", std::uint64_t{1} << 20U),
            .packets_per_ack = options.number("ack", 10),
            .address = options.text("address", "127.0.0.1")};
  }

 private:
  static ngtcp2_cc_algo algorithm(const std::string& name) {
    if (name == "cubic") return NGTCP2_CC_ALGO_CUBIC;
    if (name == "bbr") return NGTCP2_CC_ALGO_BBR;
    if (name == "bbr2") return NGTCP2_CC_ALGO_BBR2;
    if (name == "reno") return NGTCP2_CC_ALGO_RENO;
    throw std::invalid_argument("no congestion control: " + name);
  }
};

/// What was written and is not acknowledged yet: ngtcp2 sends from here, again too.
class SendRing {
 public:
  explicit SendRing(std::size_t bytes) : storage_(bytes) {}

  [[nodiscard]] std::size_t put(ByteView bytes) {
    const std::size_t count = std::min(bytes.size(), storage_.size() - (end_ - acknowledged_));
    const std::size_t at = end_ % storage_.size();
    const std::size_t first = std::min(count, storage_.size() - at);
    std::memcpy(storage_.data() + at, bytes.data(), first);
    std::memcpy(storage_.data(), bytes.data() + first, count - first);
    end_ += count;
    return count;
  }

  /// What was not sent yet: one piece, or two where the storage ends between.
  [[nodiscard]] std::size_t unsent(std::array<ngtcp2_vec, 2>& pieces) {
    const std::size_t count = end_ - sent_;
    const std::size_t at = sent_ % storage_.size();
    const std::size_t first = std::min(count, storage_.size() - at);
    pieces = {ngtcp2_vec{storage_.data() + at, first}, ngtcp2_vec{storage_.data(), count - first}};
    return count > first ? 2 : 1;
  }

  void sent(std::size_t count) { sent_ += count; }

  void acknowledged(std::size_t count) { acknowledged_ += count; }

  [[nodiscard]] bool is_all_sent() const { return sent_ == end_; }

  [[nodiscard]] bool is_all_acknowledged() const { return acknowledged_ == end_; }

 private:
  std::vector<std::uint8_t> storage_;
  std::size_t end_ = 0;  // each counts from the beginning of the stream
  std::size_t sent_ = 0;
  std::size_t acknowledged_ = 0;
};

/// One connection with its stream. Stays where it was made: ngtcp2 has its address.
class Connection {
 public:
  Connection(UdpSocket socket, const Settings& settings, quic::Session tls, bool serves)
      : socket_(std::move(socket)),
        settings_(settings),
        tls_(std::move(tls)),
        serves_(serves),
        ring_(settings.window_bytes) {
    reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
      return static_cast<Connection*>(reference->user_data)->connection_;
    };
    reference_.user_data = this;
    gnutls_session_set_ptr(tls_.get(), &reference_);
  }

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ~Connection() {
    if (connection_ != nullptr) {
      close();
      ngtcp2_conn_del(connection_);
    }
  }

  void dial(const sockaddr_in& server) {
    socket_.connect(server);
    make_path(server);
    const ngtcp2_cid destination = random_id();
    const ngtcp2_cid source = random_id();
    const ngtcp2_callbacks callbacks = make_callbacks();
    const ngtcp2_settings settings = make_settings();
    const ngtcp2_transport_params parameters = make_parameters();
    check(ngtcp2_conn_client_new(&connection_, &destination, &source, &path_.path,
                                 NGTCP2_PROTO_VER_V1, &callbacks, &settings, &parameters, nullptr,
                                 this),
          "ngtcp2_conn_client_new");
    ngtcp2_conn_set_tls_native_handle(connection_, tls_.get());
    finish_handshake();
    check(ngtcp2_conn_open_bidi_stream(connection_, &stream_, this), "a stream");
  }

  /// The first datagram tells who dials.
  void take_dial() {
    while (connection_ == nullptr) {
      socket_.wait(NGTCP2_SECONDS, false);
      socket_.receive([this](MutableBytes datagram, const sockaddr_in& client) {
        if (connection_ == nullptr) accept(datagram, client);
        if (connection_ != nullptr) read(datagram);
      });
    }
    finish_handshake();
  }

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      bytes = bytes.subspan(ring_.put(bytes));
      require_open();
      turn(!bytes.empty());
    }
  }

  void flush() { send(); }

  std::size_t read_some(MutableBytes into) {
    if (spilled_from_ == spilled_.size()) {
      target_ = into;
      while (received_ == 0 && !is_finished_) {
        require_open();
        turn(true);
      }
      target_ = {};
      const std::size_t count = std::exchange(received_, 0);
      consumed(count);
      return count;
    }
    const std::size_t count = std::min(into.size(), spilled_.size() - spilled_from_);
    std::memcpy(into.data(), spilled_.data() + spilled_from_, count);
    spilled_from_ += count;
    if (spilled_from_ == spilled_.size()) {
      spilled_.clear();
      spilled_from_ = 0;
    }
    consumed(count);
    return count;
  }

  void end_writing() {
    ends_writing_ = true;
    send();
  }

  void count_datagrams_from_here() { datagrams_ = 0; }

  [[nodiscard]] std::uint64_t datagrams() const { return datagrams_; }

 private:
  // --- setting up

  void make_path(const sockaddr_in& peer) {
    local_ = socket_.local();
    peer_ = peer;
    ngtcp2_path_storage_init(&path_, reinterpret_cast<const sockaddr*>(&local_), sizeof local_,
                             reinterpret_cast<const sockaddr*>(&peer_), sizeof peer_, nullptr);
  }

  void accept(ByteView datagram, const sockaddr_in& client) {
    ngtcp2_pkt_hd head{};
    if (ngtcp2_accept(&head, datagram.data(), datagram.size()) != 0) return;
    socket_.connect(client);
    make_path(client);
    const ngtcp2_cid source = random_id();
    const ngtcp2_callbacks callbacks = make_callbacks();
    const ngtcp2_settings settings = make_settings();
    ngtcp2_transport_params parameters = make_parameters();
    parameters.original_dcid = head.dcid;
    check(ngtcp2_conn_server_new(&connection_, &head.scid, &source, &path_.path, head.version,
                                 &callbacks, &settings, &parameters, nullptr, this),
          "ngtcp2_conn_server_new");
    ngtcp2_conn_set_tls_native_handle(connection_, tls_.get());
  }

  void finish_handshake() {
    while (ngtcp2_conn_get_handshake_completed(connection_) == 0) {
      require_open();
      turn(true);
    }
    quic::check_protocol(tls_.get());
  }

  [[nodiscard]] ngtcp2_settings make_settings() const {
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.cc_algo = settings_.congestion;
    settings.initial_ts = now_ns();
    settings.max_tx_udp_payload_size = settings_.datagram_bytes;
    settings.no_tx_udp_payload_size_shaping = 1;
    settings.no_pmtud = 1;
    settings.max_window = settings_.window_bytes;
    settings.max_stream_window = settings_.window_bytes;
    settings.ack_thresh = settings_.packets_per_ack;
    return settings;
  }

  [[nodiscard]] ngtcp2_transport_params make_parameters() const {
    ngtcp2_transport_params parameters;
    ngtcp2_transport_params_default(&parameters);
    parameters.initial_max_data = settings_.window_bytes;
    parameters.initial_max_stream_data_bidi_local = settings_.window_bytes;
    parameters.initial_max_stream_data_bidi_remote = settings_.window_bytes;
    parameters.initial_max_streams_bidi = 1;
    parameters.max_idle_timeout = kIdleTimeout;
    return parameters;
  }

  static ngtcp2_callbacks make_callbacks() {
    ngtcp2_callbacks callbacks{};
    callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
    callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    callbacks.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    callbacks.encrypt = ngtcp2_crypto_encrypt_cb;
    callbacks.decrypt = ngtcp2_crypto_decrypt_cb;
    callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb;
    callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
    callbacks.update_key = ngtcp2_crypto_update_key_cb;
    callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    callbacks.rand = [](std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx*) {
      fill_random(out, size);
    };
    callbacks.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                                         std::size_t size, void*) {
      id->datalen = size;
      fill_random(id->data, size);
      fill_random(token, NGTCP2_STATELESS_RESET_TOKENLEN);
      return 0;
    };
    callbacks.recv_stream_data = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t stream,
                                    std::uint64_t, const std::uint8_t* data, std::size_t size,
                                    void* self, void*) {
      static_cast<Connection*>(self)->received(stream, {data, size},
                                               (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
      return 0;
    };
    callbacks.acked_stream_data_offset = [](ngtcp2_conn*, std::int64_t, std::uint64_t,
                                            std::uint64_t size, void* self, void*) {
      static_cast<Connection*>(self)->ring_.acknowledged(size);
      return 0;
    };
    return callbacks;
  }

  // --- moving

  /// Sends what may be sent and takes what is there; waits for something to do if asked to.
  void turn(bool waits) {
    bool may_send_more = send();
    if (waits && !may_send_more) {
      const ngtcp2_tstamp now = now_ns();
      const ngtcp2_tstamp until = ngtcp2_conn_get_expiry(connection_);
      const ngtcp2_duration wait = until > now ? std::min(until - now, kIdleTimeout) : 0;
      if (wait >= kShortestWait) socket_.wait(static_cast<std::int64_t>(wait), is_blocked_);
    }
    socket_.receive([this](MutableBytes datagram, const sockaddr_in&) { read(datagram); });
    if (is_closed_) return;
    if (ngtcp2_conn_get_expiry(connection_) <= now_ns()) {
      check(ngtcp2_conn_handle_expiry(connection_, now_ns()), "a timer");
      send();
    }
  }

  void read(ByteView datagram) {
    if (is_closed_) return;
    ++datagrams_;
    const int result = ngtcp2_conn_read_pkt(connection_, &path_.path, nullptr, datagram.data(),
                                            datagram.size(), now_ns());
    if (result == NGTCP2_ERR_DRAINING || result == NGTCP2_ERR_CLOSING) {
      is_closed_ = true;
    } else {
      check(result, "a datagram");
    }
  }

  void received(std::int64_t stream, ByteView bytes, bool is_last) {
    if (stream_ < 0) stream_ = stream;
    const std::size_t direct = std::min(bytes.size(), target_.size() - received_);
    std::copy_n(bytes.data(), direct, target_.data() + received_);
    received_ += direct;
    spilled_.insert(spilled_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(direct),
                    bytes.end());
    is_finished_ = is_finished_ || is_last;
  }

  void consumed(std::size_t count) {
    if (count == 0 || is_closed_) return;
    // Fails only for a stream that is closed: then nobody minds.
    (void)ngtcp2_conn_extend_max_stream_offset(connection_, stream_, count);
    ngtcp2_conn_extend_max_offset(connection_, count);
  }

  /// One quantum. True: there is more that may be sent at once.
  bool send() {
    if (is_closed_ || !send_kept()) return false;
    const ngtcp2_tstamp now = now_ns();
    const std::size_t size = settings_.datagram_bytes;
    const std::size_t quantum = std::min(ngtcp2_conn_get_send_quantum(connection_), kTrainBytes);
    const std::size_t most = std::clamp<std::size_t>(quantum / size, 1, kTrainDatagrams);
    bool is_full = true;
    for (std::size_t count = 0; count < most; ++count) {
      const std::size_t written = write_datagram({train_.data() + train_bytes_, size}, now);
      if (written == 0) {
        is_full = false;
        break;
      }
      train_bytes_ += written;
      if (written < size) {  // a shorter one is the last of its train
        if (!send_kept()) break;
      }
    }
    const bool has_room = send_kept();
    ngtcp2_conn_update_pkt_tx_time(connection_, now);
    return is_full && has_room && ngtcp2_conn_get_expiry(connection_) <= now_ns();
  }

  /// Sends the train that is there. False: the socket has no room, and the train is kept.
  bool send_kept() {
    if (train_bytes_ == 0) return true;
    is_blocked_ = !socket_.send(ByteView(train_).first(train_bytes_), settings_.datagram_bytes);
    if (!is_blocked_) train_bytes_ = 0;
    return !is_blocked_;
  }

  std::size_t write_datagram(MutableBytes into, ngtcp2_tstamp now) {
    std::array<ngtcp2_vec, 2> pieces{};
    const std::size_t count = ring_.unsent(pieces);
    const bool has_stream =
        stream_ >= 0 && !is_end_sent_ && (!ring_.is_all_sent() || (ends_writing_ && !is_end_sent_));
    const std::uint32_t flags =
        ends_writing_ ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE;
    ngtcp2_ssize taken = -1;
    ngtcp2_ssize written = NGTCP2_ERR_STREAM_DATA_BLOCKED;
    if (has_stream) {
      written = ngtcp2_conn_writev_stream(connection_, nullptr, nullptr, into.data(), into.size(),
                                          &taken, flags, stream_, pieces.data(), count, now);
    }
    if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
      written = ngtcp2_conn_write_pkt(connection_, nullptr, nullptr, into.data(), into.size(), now);
    }
    check(written, "ngtcp2_conn_writev_stream");
    if (taken >= 0) {
      ring_.sent(static_cast<std::size_t>(taken));
      is_end_sent_ = ends_writing_ && ring_.is_all_sent();
    }
    return static_cast<std::size_t>(written);
  }

  void require_open() const {
    if (is_closed_) throw std::runtime_error("the connection was closed");
  }

  // --- the end

  /// The client is the one that closes; a server waits for that as long as it owes something.
  void close() noexcept {
    constexpr double kPatienceS = 2;
    try {
      const double until_s = now_s() + kPatienceS;
      while (serves_ && !is_closed_ && !ring_.is_all_acknowledged() && now_s() < until_s) {
        turn(true);
      }
      if (is_closed_) return;
      ngtcp2_connection_close_error reason;
      ngtcp2_connection_close_error_default(&reason);
      const ngtcp2_ssize size =
          ngtcp2_conn_write_connection_close(connection_, nullptr, nullptr, train_.data(),
                                             settings_.datagram_bytes, &reason, now_ns());
      if (size > 0) {
        (void)socket_.send(ByteView(train_).first(static_cast<std::size_t>(size)),
                           settings_.datagram_bytes);
      }
    } catch (const std::exception&) {
      is_closed_ = true;  // nobody waits for it any more
    }
  }

  UdpSocket socket_;
  Settings settings_;
  quic::Session tls_;
  bool serves_;
  ngtcp2_crypto_conn_ref reference_{};
  sockaddr_in local_{};
  sockaddr_in peer_{};
  ngtcp2_path_storage path_{};
  ngtcp2_conn* connection_ = nullptr;
  std::int64_t stream_ = -1;
  SendRing ring_;
  bool ends_writing_ = false;
  bool is_end_sent_ = false;
  std::vector<std::uint8_t> train_ = std::vector<std::uint8_t>(kTrainBytes + 2048);
  std::size_t train_bytes_ = 0;
  bool is_blocked_ = false;  // the socket had no room
  MutableBytes target_;      // of the read that waits
  std::size_t received_ = 0;
  std::vector<std::uint8_t> spilled_;  // came beyond it
  std::size_t spilled_from_ = 0;
  bool is_finished_ = false;
  bool is_closed_ = false;
  std::uint64_t datagrams_ = 0;
};

class QuicChannel {
 public:
  QuicChannel(std::unique_ptr<Connection> connection, std::shared_ptr<std::uint64_t> datagrams)
      : connection_(std::move(connection)), datagrams_(std::move(datagrams)) {}

  QuicChannel(QuicChannel&&) = default;
  QuicChannel& operator=(QuicChannel&&) = delete;

  ~QuicChannel() {
    if (connection_) *datagrams_ = connection_->datagrams();
  }

  void write(ByteView bytes) { connection_->write(bytes); }

  void flush() { connection_->flush(); }

  std::size_t read_some(MutableBytes into) { return connection_->read_some(into); }

  void end_writing() { connection_->end_writing(); }

  void expect_bulk() { connection_->count_datagrams_from_here(); }

  void reset_on_close() {}

 private:
  std::unique_ptr<Connection> connection_;
  std::shared_ptr<std::uint64_t> datagrams_;
};

class Quic {
 public:
  using Channel = QuicChannel;

  explicit Quic(const Options& options) : settings_(Settings::from(options)) {
    ::prctl(PR_SET_TIMERSLACK, 1UL);
  }

  nlohmann::json listen() {
    const std::string certificate = credentials_.make_certificate();
    socket_.emplace(settings_.address);
    return {{"port", ntohs(socket_->local().sin_port)}, {"certificate", certificate}};
  }

  Channel accept() {
    auto connection = std::make_unique<Connection>(*std::exchange(socket_, std::nullopt), settings_,
                                                   credentials_.server_session(), true);
    connection->take_dial();
    return {std::move(connection), datagrams_};
  }

  void learn(const nlohmann::json& hello) {
    hello.at("port").get_to(port_);
    credentials_.trust(hello.at("certificate").get<std::string>());
  }

  Channel connect() {
    const bool is_here = settings_.address.starts_with("127.");
    auto connection =
        std::make_unique<Connection>(UdpSocket(is_here ? settings_.address : "0.0.0.0"), settings_,
                                     credentials_.client_session(), false);
    connection->dial(to_address(settings_.address, port_));
    return {std::move(connection), datagrams_};
  }

  std::optional<nlohmann::json> serve_specially(const Work& work) {
    nlohmann::json report = serve(*this, work);
    report["datagrams"] = *datagrams_;
    return report;
  }

 private:
  Settings settings_;
  quic::Credentials credentials_;
  std::optional<UdpSocket> socket_;
  std::uint16_t port_ = 0;
  std::shared_ptr<std::uint64_t> datagrams_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  return sealine::bench::run_contestant<sealine::bench::Quic>(argc, argv);
}
