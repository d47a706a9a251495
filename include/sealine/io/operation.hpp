#pragma once

#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"

#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace sealine::io::detail {

/// An asynchronous operation that waits for its end, whatever its handler is.
///
/// Made with the allocator that belongs to the handler (Asio's recycles its memory), ended once:
/// by complete(), which hands the handler to its executor, or by destroy(), which runs nothing.
template <class... Results>
class Operation {
 public:
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// Frees the operation, then runs its handler on its executor, at once where that is allowed.
  void complete(Results... results) { complete_(this, std::move(results)...); }

  /// Frees the operation and its handler.
  void destroy() { destroy_(this); }

 protected:
  using Complete = void (*)(Operation*, Results...);
  using Destroy = void (*)(Operation*);

  Operation(Complete run, Destroy drop) : complete_(run), destroy_(drop) {}

  ~Operation() = default;

 private:
  Complete complete_;
  Destroy destroy_;
};

struct DestroyOperation {
  template <class O>
  void operator()(O* operation) const {
    operation->destroy();
  }
};

template <class... Results>
using OperationPtr = std::unique_ptr<Operation<Results...>, DestroyOperation>;

template <class... Results>
void complete(OperationPtr<Results...> operation, std::type_identity_t<Results>... results) {
  operation.release()->complete(std::move(results)...);
}

/// Memory for an operation of so many bytes, from a cache of the calling thread; to be given back
/// with the same size, on any thread.
[[nodiscard]] SEALINE_API void* take_operation_memory(std::size_t bytes);
SEALINE_API void give_operation_memory(void* memory, std::size_t bytes) noexcept;

/// What stands in for std::allocator, so that an operation with an ordinary handler allocates
/// nothing once the cache has warmed up.
template <class T>
struct OperationAllocator {
  using value_type = T;

  OperationAllocator() = default;

  template <class U>
  explicit OperationAllocator(const std::allocator<U>& /*allocator*/) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(take_operation_memory(count * sizeof(T)));
  }

  void deallocate(T* memory, std::size_t count) noexcept {
    give_operation_memory(memory, count * sizeof(T));
  }
};

/// The allocator of a handler, for objects of type T.
template <class Allocator, class T>
struct ReboundAllocator {
  using type = typename std::allocator_traits<Allocator>::template rebind_alloc<T>;
};

template <class U, class T>
struct ReboundAllocator<std::allocator<U>, T> {
  using type = OperationAllocator<T>;
};

/// A handler with its results, as a function without arguments; keeps the handler's associations.
template <class Handler, class... Results>
struct BoundHandler {
  Handler handler;
  std::tuple<Results...> results;

  using allocator_type = net::associated_allocator_t<Handler>;

  [[nodiscard]] allocator_type get_allocator() const noexcept {
    return net::get_associated_allocator(handler);
  }

  void operator()() { std::apply(std::move(handler), std::move(results)); }
};

template <class Handler, class... Results>
class HandlerOperation final : public Operation<Results...> {
 public:
  using Executor = net::associated_executor_t<Handler, net::any_io_executor>;
  using Allocator =
      typename ReboundAllocator<net::associated_allocator_t<Handler>, HandlerOperation>::type;

  static OperationPtr<Results...> make(Handler handler, const net::any_io_executor& executor) {
    Allocator allocator(net::get_associated_allocator(handler));
    HandlerOperation* place = std::allocator_traits<Allocator>::allocate(allocator, 1);
    try {
      ::new (static_cast<void*>(place)) HandlerOperation(std::move(handler), executor);
    } catch (...) {
      std::allocator_traits<Allocator>::deallocate(allocator, place, 1);
      throw;
    }
    return OperationPtr<Results...>(place);
  }

 private:
  using Base = Operation<Results...>;

  HandlerOperation(Handler&& handler, const net::any_io_executor& executor)
      : Base(&HandlerOperation::run, &HandlerOperation::drop),
        work_(net::get_associated_executor(handler, executor)),
        handler_(std::move(handler)) {}

  static void run(Base* base, Results... results) {
    auto* self = static_cast<HandlerOperation*>(base);
    auto work = std::move(self->work_);
    BoundHandler<Handler, Results...> bound{std::move(self->handler_), {std::move(results)...}};
    free(self, bound.handler);
    net::dispatch(work.get_executor(), std::move(bound));
  }

  static void drop(Base* base) {
    auto* self = static_cast<HandlerOperation*>(base);
    auto work = std::move(self->work_);
    Handler handler(std::move(self->handler_));
    free(self, handler);
  }

  static void free(HandlerOperation* self, const Handler& handler) {
    Allocator allocator(net::get_associated_allocator(handler));
    self->~HandlerOperation();
    std::allocator_traits<Allocator>::deallocate(allocator, self, 1);
  }

  net::executor_work_guard<Executor> work_;
  Handler handler_;
};

/// Wraps `handler` for a caller that knows only its results.
template <class... Results, class Handler>
OperationPtr<Results...> make_operation(Handler&& handler, const net::any_io_executor& executor) {
  return HandlerOperation<std::decay_t<Handler>, Results...>::make(std::forward<Handler>(handler),
                                                                   executor);
}

}  // namespace sealine::io::detail
