// ONNX's messages, as far as Nibble looks into them. Fields keep ONNX's names; what is not declared
// here stays in `unknown`, byte for byte, and is written again in its place. Element types newer
// than this file come as plain numbers.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble::schema {

/// A field that a file may leave out, and then reads as its default.
template <typename T>
class Maybe {
 public:
  Maybe() = default;
  template <std::convertible_to<T> U>
  Maybe(U&& value) : value_(std::forward<U>(value)), has_(true) {}  // NOLINT: implicit on purpose
  bool has() const { return has_; }
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }
  /// Set from now on.
  T& edit() {
    has_ = true;
    return value_;
  }
  void clear() { *this = Maybe(); }

 private:
  T value_{};
  bool has_ = false;
};

/// The same for a message, which may contain itself.
template <typename T>
class MaybeMessage {
 public:
  MaybeMessage() = default;
  MaybeMessage(const MaybeMessage& other)
      : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
  MaybeMessage(MaybeMessage&&) noexcept = default;
  MaybeMessage& operator=(MaybeMessage other) noexcept {
    value_ = std::move(other.value_);
    return *this;
  }
  ~MaybeMessage() = default;
  bool has() const { return value_ != nullptr; }
  const T& operator*() const { return value_ ? *value_ : none(); }
  const T* operator->() const { return &**this; }
  T& edit() {
    if (!value_) value_ = std::make_unique<T>();
    return *value_;
  }
  void clear() { value_.reset(); }

 private:
  static const T& none() {
    static const T empty;
    return empty;
  }
  std::unique_ptr<T> value_;
};

/// Elements of a tensor: in the memory that was parsed, or in some that `owner` keeps.
struct Bytes {
  std::string_view view;
  std::shared_ptr<const void> owner;
};

struct Message {
  struct Field {
    uint32_t number = 0;
    std::string bytes;  // with its tag
  };
  std::vector<Field> unknown;  // in the order of the file
};

struct StringStringEntryProto : Message {
  Maybe<std::string> key, value;
};

struct OperatorSetIdProto : Message {
  Maybe<std::string> domain;
  Maybe<int64_t> version;
};

struct SegmentProto : Message {};

struct TensorProto : Message {
  enum Location : int { DEFAULT = 0, EXTERNAL = 1 };
  std::vector<int64_t> dims;
  Maybe<int32_t> data_type;
  MaybeMessage<SegmentProto> segment;
  std::vector<float> float_data;
  std::vector<int32_t> int32_data;
  std::vector<std::string> string_data;
  std::vector<int64_t> int64_data;
  Maybe<std::string> name;
  Maybe<Bytes> raw_data;
  std::vector<double> double_data;
  std::vector<uint64_t> uint64_data;
  std::vector<StringStringEntryProto> external_data;
  Maybe<int32_t> data_location;
};

struct SparseTensorProto : Message {
  MaybeMessage<TensorProto> values;
};

struct TensorShapeProto : Message {
  struct Dimension : Message {
    Maybe<int64_t> dim_value;
    Maybe<std::string> dim_param;
  };
  std::vector<Dimension> dim;
};

struct TypeProto : Message {
  struct Tensor : Message {
    Maybe<int32_t> elem_type;
    MaybeMessage<TensorShapeProto> shape;
  };
  MaybeMessage<Tensor> tensor_type;
};

struct ValueInfoProto : Message {
  Maybe<std::string> name;
  MaybeMessage<TypeProto> type;
};

struct GraphProto;

struct AttributeProto : Message {
  enum Type : int {
    UNDEFINED = 0,
    FLOAT = 1,
    INT = 2,
    STRING = 3,
    TENSOR = 4,
    GRAPH = 5,
    FLOATS = 6,
    INTS = 7,
    STRINGS = 8,
  };
  Maybe<std::string> name;
  Maybe<float> f;
  Maybe<int64_t> i;
  Maybe<std::string> s;
  MaybeMessage<TensorProto> t;
  MaybeMessage<GraphProto> g;
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string> strings;
  std::vector<TensorProto> tensors;
  std::vector<GraphProto> graphs;
  Maybe<int32_t> type;
  Maybe<std::string> ref_attr_name;
};

struct NodeProto : Message {
  std::vector<std::string> input, output;
  Maybe<std::string> name, op_type;
  std::vector<AttributeProto> attribute;
  Maybe<std::string> domain, overload;
};

struct GraphProto : Message {
  std::vector<NodeProto> node;
  Maybe<std::string> name;
  std::vector<TensorProto> initializer;
  std::vector<ValueInfoProto> input, output, value_info;
  std::vector<SparseTensorProto> sparse_initializer;
};

struct FunctionProto : Message {
  Maybe<std::string> name;
  std::vector<std::string> input, output;
  std::vector<NodeProto> node;
  std::vector<OperatorSetIdProto> opset_import;
  Maybe<std::string> domain;
  std::vector<AttributeProto> attribute_proto;  // with their defaults
  Maybe<std::string> overload;
};

struct ModelProto : Message {
  Maybe<int64_t> ir_version;
  Maybe<std::string> producer_name;
  MaybeMessage<GraphProto> graph;
  std::vector<OperatorSetIdProto> opset_import;
  std::vector<StringStringEntryProto> metadata_props;
  std::vector<FunctionProto> functions;
};

}  // namespace nibble::schema
