#pragma once

#include "cli/asio.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/progress_line.hpp"
#include "sealine/io/stx_options.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace sealine::cli {

/// "192.168.1.20 slp1m2... (new) offers photos/ (312 files, 4.1 GB). take it? [Y/n] ". What a
/// stranger's names hold is shown so that it can do nothing to the terminal.
[[nodiscard]] std::string stranger_question(const io::stx::Stranger& stranger);

/// Decides about senders whom nobody knows: taken from this machine itself; asked about once on the
/// terminal where they come from elsewhere; refused where nobody can be asked. One thread.
class StrangerGate final {
 public:
  StrangerGate(const net::any_io_executor& executor, const TrustOptions& trust, bool yes,
               ProgressLine& progress, Output& output);
  ~StrangerGate();
  StrangerGate(const StrangerGate&) = delete;
  StrangerGate& operator=(const StrangerGate&) = delete;

  void judge(const io::stx::Stranger& stranger, std::function<void(bool)> answer);

 private:
  struct Asking;

  struct Pending {
    io::stx::Stranger stranger;
    std::function<void(bool)> answer;
  };

  void ask_next();
  void on_answer(bool is_taken);
  void refuse_unasked(const io::stx::Stranger& stranger);

  net::any_io_executor executor_;
  io::TrustPolicy policy_;
  bool yes_;
  ProgressLine* progress_;
  Output* output_;
  std::deque<Pending> waiting_;  ///< the first is being asked about
  std::set<crypto::PublicKey> declined_;
  std::set<crypto::PublicKey> told_;
  std::shared_ptr<Asking> asking_;
};

}  // namespace sealine::cli
