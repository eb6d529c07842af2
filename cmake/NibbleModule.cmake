# nibble_module(NAME deps...): one folder of src/, one target. Object libraries may not depend on each other in a cycle,
# so a dependency against the arrows of docs/architecture.md does not configure.
function(nibble_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow=local -Wnon-virtual-dtor -Wno-missing-field-initializers
                                           # The same integers and floats on every CPU: no contraction to FMA.
                                           -ffp-contract=off)
  if(NIBBLE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(NIBBLE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${NIBBLE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${NIBBLE_SANITIZE})
  endif()
endfunction()

function(nibble_module name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/train/torch/")  # a library of its own
  if(NOT sources)
    return()
  endif()
  add_library(nibble_${name} OBJECT ${sources})
  target_include_directories(nibble_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  nibble_options(nibble_${name})
  foreach(dependency ${ARGN})
    if(dependency MATCHES "^nibble_" AND NOT TARGET ${dependency})
      continue()
    endif()
    target_link_libraries(nibble_${name} PUBLIC ${dependency})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY NIBBLE_MODULES nibble_${name})
endfunction()

# nibble_embed(target FILE NAME): the bytes of FILE become nibble::NAME and nibble::NAME_size in `target`.
function(nibble_embed target file name)
  set(script ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${output} -DNAME=${name} -P ${script}
    DEPENDS ${file} ${script})
  target_sources(${target} PRIVATE ${output})
endfunction()
