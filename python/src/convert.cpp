#include "convert.h"

#include <nanobind/ndarray.h>

#include "base/check.h"

namespace nibble::python {
namespace {

struct ElementType {
  char code;  // of the buffer protocol
  size_t size;
  DType dtype;
};
constexpr ElementType kTypes[] = {
    {'f', 4, DType::f32}, {'d', 8, DType::f64}, {'e', 2, DType::f16}, {'q', 8, DType::i64},
    {'l', 8, DType::i64}, {'l', 4, DType::i32}, {'i', 4, DType::i32}, {'h', 2, DType::i16},
    {'b', 1, DType::i8},  {'Q', 8, DType::u64}, {'L', 8, DType::u64}, {'L', 4, DType::u32},
    {'I', 4, DType::u32}, {'H', 2, DType::u16}, {'B', 1, DType::u8},  {'?', 1, DType::boolean},
};

DType element_type(const Py_buffer& view, const std::string& dtype, const std::string& name) {
  if (!dtype.empty()) {
    if (const auto known = dtype_named(dtype)) return *known;
  }
  std::string_view format = view.format == nullptr ? "B" : view.format;
  if (!format.empty() && (format[0] == '<' || format[0] == '=' || format[0] == '@')) {
    format.remove_prefix(1);
  }
  for (const ElementType& type : kTypes) {
    if (format.size() == 1 && format[0] == type.code &&
        static_cast<size_t>(view.itemsize) == type.size) {
      return type.dtype;
    }
  }
  fail(ErrorCode::invalid_argument, "{} has elements of a type that no tensor has ('{}')",
       name.empty() ? "the array" : "'" + name + "'", view.format == nullptr ? "" : view.format);
}

// Of the arrays that go out.
nb::dlpack::dtype numpy_type(DType dtype) {
  if (dtype == DType::boolean) return nb::dtype<bool>();
  const auto code = is_float(dtype)    ? nb::dlpack::dtype_code::Float
                    : is_signed(dtype) ? nb::dlpack::dtype_code::Int
                                       : nb::dlpack::dtype_code::UInt;
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(bits_of(dtype)), 1};
}

}  // namespace

std::shared_ptr<const void> keep_alive(nb::object object) {
  return {object.release().ptr(), [](const void* kept) {
            const nb::gil_scoped_acquire lock;
            Py_DECREF(static_cast<PyObject*>(const_cast<void*>(kept)));
          }};
}

HeldArray hold_array(std::string name, nb::handle array, const std::string& dtype) {
  auto* view = new Py_buffer;
  if (PyObject_GetBuffer(array.ptr(), view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) {
    delete view;
    throw nb::python_error();
  }
  const std::shared_ptr<const void> owner(view, [](const void* kept) {
    const nb::gil_scoped_acquire lock;
    auto* buffer = static_cast<Py_buffer*>(const_cast<void*>(kept));
    PyBuffer_Release(buffer);
    delete buffer;
  });
  std::vector<int64_t> dims(view->shape, view->shape + view->ndim);
  const Shape shape(dims);
  const DType type = element_type(*view, dtype, name);
  return {std::move(name), Tensor::borrow(type, shape, view->buf), owner};
}

nb::object to_numpy(const Tensor& tensor, bool writable) {
  const DType dtype = tensor.dtype();
  if (dtype == DType::bf16) return to_numpy(convert(tensor, DType::f32), true);
  if (bits_of(dtype) < 8) {
    return to_numpy(convert(tensor, is_signed(dtype) ? DType::i8 : DType::u8), true);
  }
  auto* kept = new Tensor(tensor);
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  std::vector<size_t> dims;
  for (const int64_t extent : tensor.shape()) dims.push_back(static_cast<size_t>(extent));
  const nb::dlpack::dtype type = numpy_type(dtype);
  if (writable) {
    return nb::cast(
        nb::ndarray<nb::numpy>(kept->raw(), dims.size(), dims.data(), owner, nullptr, type));
  }
  return nb::cast(
      nb::ndarray<nb::numpy, nb::ro>(kept->raw(), dims.size(), dims.data(), owner, nullptr, type));
}

nb::object to_python(const nlohmann::ordered_json& json) {
  using Type = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Type::object: {
      nb::dict dict;
      for (const auto& [key, value] : json.items()) dict[key.c_str()] = to_python(value);
      return dict;
    }
    case Type::array: {
      nb::list list;
      for (const auto& value : json) list.append(to_python(value));
      return list;
    }
    case Type::string: {
      // Names in a file may be any bytes.
      const auto& text = json.get_ref<const std::string&>();
      return nb::steal(
          PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
    }
    case Type::boolean:
      return nb::bool_(json.get<bool>());
    case Type::number_integer:
      return nb::int_(json.get<int64_t>());
    case Type::number_unsigned:
      return nb::int_(json.get<uint64_t>());
    case Type::number_float:
      return nb::float_(json.get<double>());
    default:
      return nb::none();
  }
}

nb::object to_python(const Shape& shape, const std::vector<std::string>& dim_names) {
  if (!shape.has_rank()) return nb::none();
  nb::list dims;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto at = static_cast<size_t>(axis);
    if (shape[axis] >= 0) {
      dims.append(shape[axis]);
    } else if (at < dim_names.size() && !dim_names[at].empty()) {
      dims.append(nb::str(dim_names[at].c_str()));
    } else {
      dims.append(nb::none());
    }
  }
  return dims;
}

}  // namespace nibble::python
