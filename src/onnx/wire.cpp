#include "onnx/wire.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>

#include "base/check.h"

// Messages lie in files little end first, as in the memory of the CPUs that Nibble runs on.
static_assert(std::endian::native == std::endian::little);

namespace nibble {
namespace {

using namespace schema;  // NOLINT: this file is about nothing else

constexpr int kDeepest = 100;

enum class Wire : uint32_t { varint = 0, fixed64 = 1, bytes = 2, group = 3, end = 4, fixed32 = 5 };

// A field of a message: its number, where it is, and whether a list of numbers is written as one
// run.
template <typename M, typename T>
struct Field {
  uint32_t number;
  T M::*member;
  bool packed = false;
};

// One overload for each message, in the order of numbers.
auto fields(const StringStringEntryProto*) {
  using M = StringStringEntryProto;
  return std::tuple{Field{1, &M::key}, Field{2, &M::value}};
}
auto fields(const OperatorSetIdProto*) {
  using M = OperatorSetIdProto;
  return std::tuple{Field{1, &M::domain}, Field{2, &M::version}};
}
auto fields(const SegmentProto*) { return std::tuple{}; }
auto fields(const TensorProto*) {
  using M = TensorProto;
  return std::tuple{Field{1, &M::dims},
                    Field{2, &M::data_type},
                    Field{3, &M::segment},
                    Field{4, &M::float_data, true},
                    Field{5, &M::int32_data, true},
                    Field{6, &M::string_data},
                    Field{7, &M::int64_data, true},
                    Field{8, &M::name},
                    Field{9, &M::raw_data},
                    Field{10, &M::double_data, true},
                    Field{11, &M::uint64_data, true},
                    Field{13, &M::external_data},
                    Field{14, &M::data_location}};
}
auto fields(const SparseTensorProto*) { return std::tuple{Field{1, &SparseTensorProto::values}}; }
auto fields(const TensorShapeProto::Dimension*) {
  using M = TensorShapeProto::Dimension;
  return std::tuple{Field{1, &M::dim_value}, Field{2, &M::dim_param}};
}
auto fields(const TensorShapeProto*) { return std::tuple{Field{1, &TensorShapeProto::dim}}; }
auto fields(const TypeProto::Tensor*) {
  using M = TypeProto::Tensor;
  return std::tuple{Field{1, &M::elem_type}, Field{2, &M::shape}};
}
auto fields(const TypeProto*) { return std::tuple{Field{1, &TypeProto::tensor_type}}; }
auto fields(const ValueInfoProto*) {
  using M = ValueInfoProto;
  return std::tuple{Field{1, &M::name}, Field{2, &M::type}};
}
auto fields(const AttributeProto*) {
  using M = AttributeProto;
  return std::tuple{Field{1, &M::name},
                    Field{2, &M::f},
                    Field{3, &M::i},
                    Field{4, &M::s},
                    Field{5, &M::t},
                    Field{6, &M::g},
                    Field{7, &M::floats},
                    Field{8, &M::ints},
                    Field{9, &M::strings},
                    Field{10, &M::tensors},
                    Field{11, &M::graphs},
                    Field{20, &M::type},
                    Field{21, &M::ref_attr_name}};
}
auto fields(const NodeProto*) {
  using M = NodeProto;
  return std::tuple{Field{1, &M::input},   Field{2, &M::output},    Field{3, &M::name},
                    Field{4, &M::op_type}, Field{5, &M::attribute}, Field{7, &M::domain},
                    Field{8, &M::overload}};
}
auto fields(const GraphProto*) {
  using M = GraphProto;
  return std::tuple{Field{1, &M::node},
                    Field{2, &M::name},
                    Field{5, &M::initializer},
                    Field{11, &M::input},
                    Field{12, &M::output},
                    Field{13, &M::value_info},
                    Field{15, &M::sparse_initializer}};
}
auto fields(const FunctionProto*) {
  using M = FunctionProto;
  return std::tuple{Field{1, &M::name},
                    Field{4, &M::input},
                    Field{5, &M::output},
                    Field{7, &M::node},
                    Field{9, &M::opset_import},
                    Field{10, &M::domain},
                    Field{11, &M::attribute_proto},
                    Field{13, &M::overload}};
}
auto fields(const ModelProto*) {
  using M = ModelProto;
  return std::tuple{Field{1, &M::ir_version},      Field{2, &M::producer_name},
                    Field{7, &M::graph},           Field{8, &M::opset_import},
                    Field{14, &M::metadata_props}, Field{25, &M::functions}};
}

// What a field holds: a number, a text, or a message; once or often.
template <typename T>
struct Content {
  using type = T;
  static constexpr bool repeated = false;
};
template <typename T>
struct Content<Maybe<T>> : Content<T> {};
template <typename T>
struct Content<MaybeMessage<T>> : Content<T> {};
template <typename T>
struct Content<std::vector<T>> {
  using type = T;
  static constexpr bool repeated = true;
};

template <typename T>
constexpr Wire wire_of() {
  if constexpr (std::is_same_v<T, float>) return Wire::fixed32;
  if constexpr (std::is_same_v<T, double>) return Wire::fixed64;
  if constexpr (std::is_integral_v<T>) return Wire::varint;
  return Wire::bytes;
}

class Reader {
 public:
  Reader(std::string_view bytes, Elements elements, int depth)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), elements_(elements), depth_(depth) {}

  bool done() const { return at_ == end_; }
  const char* at() const { return at_; }
  int depth() const { return depth_; }

  bool varint(uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (at_ == end_) return false;
      const auto byte = static_cast<uint8_t>(*at_++);
      if (shift < 64) value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool tag(uint32_t& number, Wire& wire) {
    uint64_t value = 0;
    if (!varint(value) || value > std::numeric_limits<uint32_t>::max()) return false;
    number = static_cast<uint32_t>(value >> 3U);
    wire = static_cast<Wire>(value & 7U);
    return number != 0 && wire <= Wire::fixed32;
  }

  bool bytes(std::string_view& value) {
    uint64_t length = 0;
    if (!varint(length) || length > static_cast<uint64_t>(end_ - at_)) return false;
    value = {at_, static_cast<size_t>(length)};
    at_ += length;
    return true;
  }

  template <typename T>
  bool number(T& value) {
    if constexpr (std::is_floating_point_v<T>) {
      if (static_cast<size_t>(end_ - at_) < sizeof(T)) return false;
      std::memcpy(&value, at_, sizeof(T));
      at_ += sizeof(T);
      return true;
    } else {
      uint64_t bits = 0;
      if (!varint(bits)) return false;
      value = static_cast<T>(bits);
      return true;
    }
  }

  // Past the field whose tag was read.
  bool skip(uint32_t number, Wire wire, int depth) {
    uint64_t ignored = 0;
    double wide = 0;
    float narrow = 0;
    std::string_view text;
    switch (wire) {
      case Wire::varint:
        return varint(ignored);
      case Wire::fixed64:
        return this->number(wide);
      case Wire::fixed32:
        return this->number(narrow);
      case Wire::bytes:
        return bytes(text);
      case Wire::group:
        return skip_group(number, depth);
      default:
        return false;
    }
  }

  template <typename M>
  bool message(M& message) {
    while (!done()) {
      const char* start = at_;
      uint32_t number = 0;
      Wire wire{};
      if (!tag(number, wire)) return false;
      bool known = false;
      const bool fine = std::apply(
          [&](const auto&... field) {
            return (... && (field.number != number || read(message.*field.member, wire, known)));
          },
          fields(&message));
      if (!fine) return false;
      if (known) continue;
      if (!skip(number, wire, depth_)) return false;
      message.unknown.push_back({number, std::string(start, at_)});
    }
    return true;
  }

 private:
  bool skip_group(uint32_t number, int depth) {
    if (depth >= kDeepest) return false;
    for (;;) {
      uint32_t inner = 0;
      Wire wire{};
      if (!tag(inner, wire)) return false;
      if (wire == Wire::end) return inner == number;
      if (!skip(inner, wire, depth + 1)) return false;
    }
  }

  bool value(std::string& out) {
    std::string_view text;
    if (!bytes(text)) return false;
    out = text;
    return true;
  }
  bool value(Bytes& out) {
    if (!bytes(out.view)) return false;
    out.owner.reset();
    if (elements_ == Elements::refer) return true;
    auto copy = std::make_shared<const std::string>(out.view);
    out.view = *copy;
    out.owner = std::move(copy);
    return true;
  }
  template <typename M>
  requires std::is_base_of_v<Message, M>
  bool value(M& out) {
    std::string_view inner;
    return bytes(inner) && depth_ < kDeepest && Reader(inner, elements_, depth_ + 1).message(out);
  }
  template <typename T>
  requires std::is_arithmetic_v<T>
  bool value(T& out) { return number(out); }

  // `known`: the field is of the type that was expected; else it is left as it stands.
  template <typename F>
  bool read(F& field, Wire wire, bool& known) {
    using Type = typename Content<F>::type;
    if constexpr (Content<F>::repeated && std::is_arithmetic_v<Type>) {
      if (wire == Wire::bytes) {
        known = true;
        return read_packed(field);
      }
    }
    if (wire != wire_of<Type>()) return true;
    known = true;
    if constexpr (Content<F>::repeated) {
      return value(field.emplace_back());
    } else {
      return value(field.edit());
    }
  }

  template <typename T>
  bool read_packed(std::vector<T>& list) {
    std::string_view run;
    if (!bytes(run)) return false;
    if constexpr (std::is_floating_point_v<T>) list.reserve(list.size() + run.size() / sizeof(T));
    Reader inner(run, elements_, depth_);
    while (!inner.done()) {
      if (!inner.number(list.emplace_back())) return false;
    }
    return true;
  }

  const char* at_;
  const char* end_;
  Elements elements_;
  int depth_;
};

// Counts, or writes.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(out) {}
  size_t size() const { return size_; }

  template <typename M>
  void message(const M& message) {
    const std::vector<const Message::Field*> unknown = in_order(message);
    auto next = unknown.begin();
    const auto write_unknown = [&](uint32_t before) {
      for (; next != unknown.end() && (*next)->number < before; ++next) raw((*next)->bytes);
    };
    std::apply(
        [&](const auto&... field) {
          ((write_unknown(field.number), write(message.*field.member, field)), ...);
        },
        fields(&message));
    write_unknown(std::numeric_limits<uint32_t>::max());
  }

 private:
  static std::vector<const Message::Field*> in_order(const Message& message) {
    std::vector<const Message::Field*> order;
    for (const Message::Field& field : message.unknown) order.push_back(&field);
    std::ranges::stable_sort(order, {}, &Message::Field::number);
    return order;
  }

  void raw(std::string_view bytes) {
    size_ += bytes.size();
    if (out_ != nullptr) out_->append(bytes);
  }
  void varint(uint64_t value) {
    char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7U) bytes[count++] = static_cast<char>(value | 0x80U);
    bytes[count++] = static_cast<char>(value);
    raw({bytes, count});
  }
  void tag(uint32_t number, Wire wire) {
    varint(uint64_t{number} << 3U | static_cast<uint32_t>(wire));
  }

  template <typename T>
  requires std::is_arithmetic_v<T>
  void value(T number) {
    if constexpr (std::is_floating_point_v<T>) {
      raw({reinterpret_cast<const char*>(&number), sizeof(T)});
    } else {
      varint(static_cast<uint64_t>(static_cast<int64_t>(number)));
    }
  }
  void value(std::string_view text) {
    varint(text.size());
    raw(text);
  }
  void value(const Bytes& bytes) { value(bytes.view); }
  template <typename M>
  requires std::is_base_of_v<Message, M>
  void value(const M& inner) {
    Writer count(nullptr);
    count.message(inner);
    varint(count.size());
    if (out_ == nullptr) {
      size_ += count.size();
    } else {
      message(inner);
    }
  }

  template <typename F, typename Row>
  void write(const F& field, const Row& row) {
    using Type = typename Content<F>::type;
    if constexpr (!Content<F>::repeated) {
      if (!field.has()) return;
      tag(row.number, wire_of<Type>());
      value(*field);
    } else {
      if constexpr (std::is_arithmetic_v<Type>) {
        if (row.packed) return write_packed(field, row.number);
      }
      for (const Type& entry : field) {
        tag(row.number, wire_of<Type>());
        value(entry);
      }
    }
  }

  template <typename T>
  void write_packed(const std::vector<T>& list, uint32_t number) {
    if (list.empty()) return;
    Writer count(nullptr);
    for (const T entry : list) count.value(entry);
    tag(number, Wire::bytes);
    varint(count.size());
    for (const T entry : list) value(entry);
  }

  std::string* out_;
  size_t size_ = 0;
};

}  // namespace

template <typename M>
bool parse_proto(M& message, std::string_view bytes, Elements elements) {
  return Reader(bytes, elements, 0).message(message);
}

template <typename M>
size_t proto_size(const M& message) {
  Writer count(nullptr);
  count.message(message);
  return count.size();
}

template <typename M>
std::string serialize_proto(const M& message) {
  const size_t size = proto_size(message);
  if (size > static_cast<size_t>(std::numeric_limits<int>::max())) {
    fail(ErrorCode::unsupported, "the model takes {} bytes; one ONNX file holds at most 2 GiB",
         size);
  }
  std::string bytes;
  bytes.reserve(size);
  Writer(&bytes).message(message);
  return bytes;
}

template bool parse_proto(ModelProto&, std::string_view, Elements);
template bool parse_proto(GraphProto&, std::string_view, Elements);
template bool parse_proto(NodeProto&, std::string_view, Elements);
template bool parse_proto(AttributeProto&, std::string_view, Elements);
template bool parse_proto(TensorProto&, std::string_view, Elements);
template bool parse_proto(ValueInfoProto&, std::string_view, Elements);
template size_t proto_size(const ModelProto&);
template size_t proto_size(const GraphProto&);
template size_t proto_size(const NodeProto&);
template size_t proto_size(const AttributeProto&);
template size_t proto_size(const TensorProto&);
template size_t proto_size(const TensorShapeProto::Dimension&);
template size_t proto_size(const TypeProto::Tensor&);
template size_t proto_size(const TypeProto&);
template size_t proto_size(const ValueInfoProto&);
template std::string serialize_proto(const ModelProto&);
template std::string serialize_proto(const GraphProto&);
template std::string serialize_proto(const NodeProto&);
template std::string serialize_proto(const AttributeProto&);
template std::string serialize_proto(const TensorProto&);
template std::string serialize_proto(const ValueInfoProto&);

}  // namespace nibble
