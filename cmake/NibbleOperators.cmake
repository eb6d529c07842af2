# nibble_add_operators(TARGET MODEL...): TARGET, which links nibble::runtime-static, gets the operators that these ONNX models need and no
# others. A model with another operator is then refused, by a sentence that names it. NIBBLE_PROGRAM is the `nibble` that reads the models: one
# of the machine that builds.
function(nibble_add_operators target)
  if(NOT ARGN)
    message(FATAL_ERROR "nibble_add_operators(${target}): name at least one ONNX model")
  endif()
  find_program(NIBBLE_PROGRAM nibble HINTS ${NIBBLE_PREFIX}/bin REQUIRED)
  set(models "")
  foreach(model ${ARGN})
    get_filename_component(model ${model} ABSOLUTE)
    list(APPEND models ${model})
  endforeach()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}_operators.cpp)
  list(TRANSFORM models PREPEND "--for;" OUTPUT_VARIABLE flags)
  add_custom_command(OUTPUT ${source} COMMAND ${NIBBLE_PROGRAM} ops ${flags} -o ${source} DEPENDS ${models} VERBATIM)
  target_sources(${target} PRIVATE ${source})
  target_compile_features(${target} PRIVATE cxx_std_20)
endfunction()
