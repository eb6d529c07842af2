// Ranks over libtorch's c10d: a TCPStore at rank 0 to meet at, Gloo to add up. Nothing else knows
// c10d, whose headers differ from version to version.
#include "train/torch/rank_group.h"

#include <algorithm>

#include "base/check.h"

#ifndef NIBBLE_WITHOUT_GLOO
#define USE_C10D_GLOO
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <type_traits>
#include <utility>
#endif

namespace nibble {

std::string RankGroup::text_of_first(const std::string& mine) {
  torch::Tensor length = torch::full({1}, static_cast<int64_t>(mine.size()), torch::kLong);
  copy_from_first(length);
  torch::Tensor bytes = torch::zeros({length.item<int64_t>()}, torch::kByte);
  if (rank() == 0) std::ranges::copy(mine, bytes.data_ptr<uint8_t>());
  if (bytes.numel() > 0) copy_from_first(bytes);
  const auto* first = bytes.data_ptr<uint8_t>();
  return {first, first + bytes.numel()};
}

RankGroup* as_group(Ranks* ranks) { return dynamic_cast<RankGroup*>(ranks); }

#ifdef NIBBLE_WITHOUT_GLOO

std::shared_ptr<RankGroup> join_group(const RankPlace& place) {
  fail(ErrorCode::unsupported,
       "WORLD_SIZE is {}, and this libnibble_train was built without Gloo, by which ranks meet: "
       "build it for Debian's libtorch-dev with libgloo-dev installed, or unset WORLD_SIZE",
       place.size);
}

#else

namespace {

using Milliseconds = std::chrono::milliseconds;

Milliseconds milliseconds(double seconds) {
  return Milliseconds(static_cast<int64_t>(seconds * 1000));
}

/// The address of this machine by which `host` is reached; empty if that cannot be told.
std::string own_address_towards(const std::string& host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  std::string own;
  for (const addrinfo* at = found; at != nullptr && own.empty(); at = at->ai_next) {
    const int file = ::socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    if (file < 0) continue;
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    std::array<char, NI_MAXHOST> name{};
    // Of a socket for datagrams, which sends nothing by that.
    if (::connect(file, at->ai_addr, at->ai_addrlen) == 0 &&
        ::getsockname(file, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&address), length, name.data(), name.size(),
                    nullptr, 0, NI_NUMERICHOST) == 0) {
      own = name.data();
    }
    ::close(file);
  }
  freeaddrinfo(found);
  return own;
}

c10::intrusive_ptr<c10d::ProcessGroupGloo::Options> gloo_options(const RankPlace& place) {
  auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(place.timeout));
  options->threads = 1;
  // As PyTorch's own: the interfaces that are asked for, by name.
  if (const char* names = std::getenv("GLOO_SOCKET_IFNAME"); names != nullptr && *names != '\0') {
    std::string_view rest = names;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      options->devices.push_back(
          c10d::ProcessGroupGloo::createDeviceForInterface(std::string(rest.substr(0, comma))));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return options;
  }
  const std::string own = own_address_towards(place.address, place.port);
  options->devices.push_back(own.empty() ? c10d::ProcessGroupGloo::createDefaultDevice()
                                         : c10d::ProcessGroupGloo::createDeviceForHostname(own));
  return options;
}

c10::intrusive_ptr<c10d::Store> open_store(const RankPlace& place) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = place.rank == 0;
  options.numWorkers = static_cast<size_t>(place.size);
  options.waitWorkers = false;
  options.timeout = milliseconds(std::max(place.timeout, 1.0));  // it counts whole seconds
  return c10::make_intrusive<c10d::TCPStore>(place.address, options);
}

std::string list_of(const std::vector<int>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ", ranks[i]);
  }
  return text;
}

std::vector<uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// A process group whose connections can be given up, so that nobody waits at their other ends.
class Lane final : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;
  void hang_up() {
    for (const auto& context : contexts_) context->closeConnections();
  }
};

class GlooRanks final : public RankGroup {
 public:
  explicit GlooRanks(const RankPlace& place) : place_(place) {
    try {
      store_ = open_store(place);
    } catch (const std::exception& error) {
      fail_to_meet(error);
    }
    await_all();
    for (size_t lane = 0; lane < lanes_.size(); ++lane) {
      lanes_[lane] = guarded([&] {
        return c10::make_intrusive<Lane>(
            c10::make_intrusive<c10d::PrefixStore>(fmt::format("lane{}", lane), store_), place.rank,
            place.size, gloo_options(place));
      });
    }
  }

  ~GlooRanks() override {
    if (failed_) return;
    try {
      leave();
    } catch (...) {
    }
  }

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }

  std::vector<std::string> gather(std::string_view mine) override {
    const auto options = torch::TensorOptions().dtype(torch::kLong);
    torch::Tensor length = torch::full({1}, static_cast<int64_t>(mine.size()), options);
    std::vector<torch::Tensor> lengths = gather_tensors(length);
    int64_t longest = 1;
    for (const torch::Tensor& one : lengths) longest = std::max(longest, one.item<int64_t>());
    torch::Tensor bytes = torch::zeros({longest}, torch::kByte);
    if (!mine.empty()) std::memcpy(bytes.data_ptr<uint8_t>(), mine.data(), mine.size());
    const std::vector<torch::Tensor> all = gather_tensors(bytes);
    std::vector<std::string> texts;
    for (size_t i = 0; i < all.size(); ++i) {
      texts.emplace_back(reinterpret_cast<const char*>(all[i].data_ptr<uint8_t>()),
                         static_cast<size_t>(lengths[i].item<int64_t>()));
    }
    return texts;
  }

  bool give_up(std::string_view sentence) noexcept override {
    if (std::exchange(failed_, true)) return true;
    try {
      store_->set(given_up(place_.rank), bytes_of(sentence));
      // What the others wait for breaks off, and they read it there, where rank 0 holds the store.
      hang_up();
      for (int look = 0; look < 20; ++look) {
        std::this_thread::sleep_for(Milliseconds(50));
        int done = 0;
        for (int i = 0; i < place_.size; ++i) {
          if (i < place_.rank && reason_of(i) == sentence) return false;
          done += store_->check({given_up(i)}) || store_->check({left(i)}) ? 1 : 0;
        }
        if (done == place_.size) break;
      }
    } catch (...) {  // rank 0 is gone
    }
    return true;
  }

  std::unique_ptr<Pending> start_sum(torch::Tensor tensor, SumLane lane) override {
    struct Sum final : Pending {
      GlooRanks& ranks;
      torch::Tensor wanted, added;  // the same, but where Gloo cannot reach it
      c10::intrusive_ptr<c10d::Work> work;

      Sum(GlooRanks& group, torch::Tensor what, SumLane by)
          : ranks(group), wanted(std::move(what)), added(wanted.cpu()) {
        std::vector<torch::Tensor> tensors = {added};
        work = ranks.guarded([&] { return ranks.lane(by).allreduce(tensors); });
      }
      void wait() override {
        ranks.guarded([&] { work->wait(); });
        if (!wanted.is_same(added)) wanted.copy_(added);
      }
    };
    return std::make_unique<Sum>(*this, std::move(tensor), lane);
  }

  void copy_from_first(torch::Tensor tensor) override {
    std::vector<torch::Tensor> tensors = {tensor.cpu().contiguous()};
    guarded([&] { lane(SumLane::statistics).broadcast(tensors)->wait(); });
    tensor.copy_(tensors[0]);
  }

 private:
  Lane& lane(SumLane which) {
    if (failed_) throw LostRank("this rank gave up before, and the others ended", true);
    return *lanes_[static_cast<size_t>(which)];
  }

  std::vector<torch::Tensor> gather_tensors(torch::Tensor mine) {
    std::vector<torch::Tensor> inputs = {mine};
    std::vector<std::vector<torch::Tensor> > outputs(1);
    for (int i = 0; i < place_.size; ++i) outputs[0].push_back(torch::empty_like(mine));
    guarded([&] { lane(SumLane::statistics).allgather(outputs, inputs)->wait(); });
    return outputs[0];
  }

  template <typename Body>
  std::invoke_result_t<Body> guarded(Body&& body) {
    try {
      return body();
    } catch (const Failure&) {
      throw;
    } catch (const std::exception& error) {
      fail_for(error.what());
    }
  }

  /// Waits until all have signed so; the ranks that have not by then.
  std::vector<int> sign(const std::string& what, double seconds) {
    const auto key = [&](int rank) { return fmt::format("{}/{}", what, rank); };
    store_->set(key(place_.rank), bytes_of("1"));
    const auto end = std::chrono::steady_clock::now() + milliseconds(seconds);
    std::vector<int> missing(static_cast<size_t>(place_.size));
    std::iota(missing.begin(), missing.end(), 0);
    for (;;) {
      std::erase_if(missing, [&](int rank) { return store_->check({key(rank)}); });
      if (missing.empty() || std::chrono::steady_clock::now() > end) return missing;
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }

  // Who has not come by the end of the time is named.
  void await_all() {
    std::vector<int> missing;
    try {
      missing = sign("here", place_.timeout);
    } catch (const std::exception& error) {
      fail_to_meet(error);
    }
    if (missing.empty()) return;
    failed_ = true;
    throw LostRank(
        fmt::format("rank {} of {} did not come to {}:{} within {:g} s "
                    "(NIBBLE_RANK_TIMEOUT says how long is waited)",
                    list_of(missing), place_.size, place_.address, place_.port, place_.timeout),
        true);
  }

  [[noreturn]] void fail_to_meet(const std::exception& error) {
    std::string why = error.what();
    why.resize(std::min(why.find('\n'), why.size()));
    failed_ = true;
    throw LostRank(
        fmt::format("rank {} of {} cannot {} {}:{} ({}): MASTER_ADDR and MASTER_PORT have to name "
                    "the machine of rank 0 and a port that is free there",
                    place_.rank, place_.size, place_.rank == 0 ? "listen on" : "reach rank 0 at",
                    place_.address, place_.port, why),
        true);
  }

  void hang_up() {
    for (const auto& lane : lanes_) {
      if (lane) lane->hang_up();
    }
  }

  static std::string given_up(int rank) { return fmt::format("gave up/{}", rank); }
  static std::string left(int rank) { return fmt::format("left/{}", rank); }

  // What a rank gave up for; none: it did not.
  std::optional<std::string> reason_of(int rank) {
    if (!store_->check({given_up(rank)})) return std::nullopt;
    const std::vector<uint8_t> bytes = store_->get(given_up(rank));
    return std::string(bytes.begin(), bytes.end());
  }

  // A roll is called: who is left signs, and who is found missing is told.
  [[noreturn]] void fail_for(std::string why) {
    constexpr int kLooks = 40;
    why.resize(std::min(why.find('\n'), why.size()));
    failed_ = true;
    std::vector<int> silent;
    int first_left = place_.rank;
    try {
      store_->set(left(place_.rank), bytes_of("1"));
      hang_up();
      for (int look = 0; look < kLooks; ++look) {
        std::this_thread::sleep_for(Milliseconds(50));
        silent.clear();
        for (int i = 0; i < place_.size; ++i) {
          if (const auto reason = reason_of(i)) fail_told(i, *reason);
          if (!store_->check({left(i)})) silent.push_back(i);
        }
        // The last of the living may be about to sign.
        if (silent.size() == 1 && look > kLooks / 4) break;
      }
      for (int i = place_.rank; i-- > 0;) {
        if (store_->check({left(i)})) first_left = i;
      }
      end_roll_call();
    } catch (const LostRank&) {
      throw;
    } catch (const std::exception&) {  // who holds the store is gone
      silent = {0};
      first_left = 1;
    }
    const std::string what =
        silent.empty() ? fmt::format("the {} ranks lost touch with one another", place_.size)
        : silent.size() == 1
            ? fmt::format("rank {} of {} ended before its time", silent[0], place_.size)
            : fmt::format("of the ranks {}, at least one ended before its time", list_of(silent));
    throw LostRank(fmt::format("{} ({})", what, why), place_.rank == first_left);
  }

  // Rank 0, which holds the store, lets the others finish.
  void end_roll_call() {
    store_->set(fmt::format("told/{}", place_.rank), bytes_of("1"));
    for (int look = 0; look < 40 && place_.rank == 0; ++look) {
      bool all = true;
      for (int i = 1; i < place_.size; ++i) {
        all = all && (!store_->check({left(i)}) || store_->check({fmt::format("told/{}", i)}));
      }
      if (all) return;
      std::this_thread::sleep_for(Milliseconds(50));
    }
  }

  // It says so itself.
  [[noreturn]] void fail_told(int rank, const std::string& reason) {
    end_roll_call();
    throw LostRank(fmt::format("rank {} of {} gave up: {}", rank, place_.size, reason), false);
  }

  // Who goes while others still read what it sent would look like one that was killed; and rank 0
  // holds the store.
  void leave() {
    constexpr double kPatience = 10;
    sign("done", std::min(place_.timeout, kPatience));
  }

  const RankPlace place_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::array<c10::intrusive_ptr<Lane>, 2> lanes_;  // by SumLane
  bool failed_ = false;
};

}  // namespace

std::shared_ptr<RankGroup> join_group(const RankPlace& place) {
  return std::make_shared<GlooRanks>(place);
}

#endif

}  // namespace nibble
