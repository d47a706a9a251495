// The words of the state tables, for tests and drawings.

#include "stx/detail/item_life.hpp"
#include "stx/detail/session_life.hpp"

namespace sealine::stx::detail {

std::string_view to_string(SendLife life) noexcept {
  switch (life) {
    case SendLife::offered:
      return "offered";
    case SendLife::proving:
      return "proving";
    case SendLife::resuming:
      return "resuming";
    case SendLife::sending:
      return "sending";
    case SendLife::ended:
      return "ended";
    case SendLife::dropped:
      return "dropped";
    case SendLife::over:
      return "over";
  }
  return "?";
}

std::string_view to_string(SendLifeEvent event) noexcept {
  switch (event) {
    case SendLifeEvent::accepted_new:
      return "accepted_new";
    case SendLifeEvent::accepted_have:
      return "accepted_have";
    case SendLifeEvent::refused:
      return "refused";
    case SendLifeEvent::roots_known:
      return "roots_known";
    case SendLifeEvent::roots_unknown:
      return "roots_unknown";
    case SendLifeEvent::start_known:
      return "start_known";
    case SendLifeEvent::all_covered:
      return "all_covered";
    case SendLifeEvent::done:
      return "done";
    case SendLifeEvent::done_with_code:
      return "done_with_code";
    case SendLifeEvent::drop_ordered:
      return "drop_ordered";
    case SendLifeEvent::drop_covered:
      return "drop_covered";
  }
  return "?";
}

std::string_view to_string(ReceiveLife life) noexcept {
  switch (life) {
    case ReceiveLife::offered:
      return "offered";
    case ReceiveLife::proof_due:
      return "proof_due";
    case ReceiveLife::comparing:
      return "comparing";
    case ReceiveLife::receiving:
      return "receiving";
    case ReceiveLife::complete:
      return "complete";
    case ReceiveLife::over:
      return "over";
  }
  return "?";
}

std::string_view to_string(ReceiveLifeEvent event) noexcept {
  switch (event) {
    case ReceiveLifeEvent::admitted_new:
      return "admitted_new";
    case ReceiveLifeEvent::admitted_have:
      return "admitted_have";
    case ReceiveLifeEvent::refused:
      return "refused";
    case ReceiveLifeEvent::resume:
      return "resume";
    case ReceiveLifeEvent::compared:
      return "compared";
    case ReceiveLifeEvent::select:
      return "select";
    case ReceiveLifeEvent::zero:
      return "zero";
    case ReceiveLifeEvent::end:
      return "end";
    case ReceiveLifeEvent::end_agrees:
      return "end_agrees";
    case ReceiveLifeEvent::end_differs:
      return "end_differs";
    case ReceiveLifeEvent::finished:
      return "finished";
    case ReceiveLifeEvent::failed:
      return "failed";
    case ReceiveLifeEvent::drop:
      return "drop";
  }
  return "?";
}

std::string_view to_string(SessionState state) noexcept {
  switch (state) {
    case SessionState::running:
      return "running";
    case SessionState::closing:
      return "closing";
    case SessionState::closed:
      return "closed";
  }
  return "?";
}

std::string_view to_string(SessionEvent event) noexcept {
  switch (event) {
    case SessionEvent::all_over:
      return "all_over";
    case SessionEvent::answered:
      return "answered";
    case SessionEvent::peer_closed:
      return "peer_closed";
    case SessionEvent::given_up:
      return "given_up";
    case SessionEvent::cut:
      return "cut";
  }
  return "?";
}

}  // namespace sealine::stx::detail
