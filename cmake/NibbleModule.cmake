# How the folders of src/ become modules, and modules become libraries.

function(nibble_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local> -Wnon-virtual-dtor
                                           -Wno-missing-field-initializers
                                           # The same integers and floats on every CPU: no contraction to FMA.
                                           -ffp-contract=off)
  if(NIBBLE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(NIBBLE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${NIBBLE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${NIBBLE_SANITIZE})
  endif()
  if(NIBBLE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# nibble_precompile(TARGET [REUSE_FROM target | PRIVATE headers]): the headers are compiled once, which takes longer than most files
# do. The options are what ccache needs to know one precompiled header from another.
function(nibble_precompile target)
  target_precompile_headers(${target} ${ARGN})
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
                                           $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
endfunction()

# nibble_include_root(NAME PUBLIC_HEADERS...): the target nibble_NAME_headers, whose include path holds the folder src/NAME,
# the given headers of include/nibble, and nothing else. The folder is build/modules/NAME, made of links.
function(nibble_include_root name)
  set(root ${PROJECT_BINARY_DIR}/modules/${name})
  file(REMOVE_RECURSE ${root})
  file(MAKE_DIRECTORY ${root}/nibble)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${root}/${name} SYMBOLIC)
  foreach(header ${ARGN})
    if(NOT EXISTS ${PROJECT_SOURCE_DIR}/include/nibble/${header}.h)
      message(FATAL_ERROR "include/nibble/${header}.h, a public header of the module ${name}, does not exist")
    endif()
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/include/nibble/${header}.h ${root}/nibble/${header}.h SYMBOLIC)
    set_property(GLOBAL APPEND PROPERTY NIBBLE_PUBLIC_HEADERS ${PROJECT_SOURCE_DIR}/include/nibble/${header}.h)
  endforeach()
  add_library(nibble_${name}_headers INTERFACE)
  target_include_directories(nibble_${name}_headers INTERFACE ${root})
endfunction()

# nibble_module(NAME [HEADERS public headers] [DEPENDS modules] [LIBRARIES third parties]): one folder of src/, one target.
# A module sees the headers of the modules it depends on, and of theirs. It may only depend on modules declared before it,
# so there are no cycles.
function(nibble_module name)
  cmake_parse_arguments(PARSE_ARGV 1 module "" "" "HEADERS;DEPENDS;LIBRARIES")
  nibble_include_root(${name} ${module_HEADERS})
  foreach(dependency ${module_DEPENDS})
    if(NOT TARGET nibble_${dependency}_headers)
      message(FATAL_ERROR "the module ${name} depends on ${dependency}, which is not declared before it")
    endif()
    target_link_libraries(nibble_${name}_headers INTERFACE nibble_${dependency}_headers)
  endforeach()
  target_link_libraries(nibble_${name}_headers INTERFACE ${module_LIBRARIES})

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/train/torch/")  # a library of its own
  add_library(nibble_${name} OBJECT ${sources})
  target_link_libraries(nibble_${name} PUBLIC nibble_${name}_headers)
  nibble_options(nibble_${name})
  # For scripts/check_layers.sh.
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/modules/${name}.path
       CONTENT "$<TARGET_PROPERTY:nibble_${name},INCLUDE_DIRECTORIES>\n")
  set_property(GLOBAL APPEND PROPERTY NIBBLE_MODULES ${name})
endfunction()

# Every header of include/nibble belongs to a module, else no module could include it.
function(nibble_check_public_headers)
  get_property(owned GLOBAL PROPERTY NIBBLE_PUBLIC_HEADERS)
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/nibble/*.h)
  list(REMOVE_ITEM headers ${owned})
  if(headers)
    message(FATAL_ERROR "no module of src/CMakeLists.txt names ${headers} among its HEADERS")
  endif()
endfunction()

# nibble_library(NAME MODULES...): a shared library of these modules, to be installed. What it exports is what its headers
# say: all of include/nibble, and the internal headers that the libraries above it use (see CONTRIBUTING.md).
function(nibble_library name)
  add_library(${name} SHARED)
  foreach(module ${ARGN})
    target_link_libraries(${name} PRIVATE nibble_${module})
  endforeach()
  target_include_directories(${name} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${name} INTERFACE cxx_std_20)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                                           SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                                           INSTALL_RPATH "$ORIGIN")
  if(NIBBLE_SANITIZE)
    target_link_options(${name} PRIVATE -fsanitize=${NIBBLE_SANITIZE})
  else()
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
endfunction()

# nibble_static_library(NAME MODULES...): NAME-static, the same as an archive. No function of it is seen outside of the program or
# library that is linked with it.
function(nibble_static_library name)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<TARGET_OBJECTS:nibble_\\1>" OUTPUT_VARIABLE objects)
  add_library(${name}-static STATIC ${objects})
  target_link_libraries(${name}-static INTERFACE ${NIBBLE_ARCHIVE_NEEDS} Threads::Threads ${CMAKE_DL_LIBS})
  target_include_directories(${name}-static INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${name}-static INTERFACE cxx_std_20)
  target_link_options(${name}-static INTERFACE -Wl,--gc-sections)
  set_target_properties(${name}-static PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME ${name})
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

# nibble_embed_folder(target FOLDER NAME): the files of FOLDER become nibble::NAME(), a table (base/embedded.h), in `target`; those that
# a regular expression of EXCLUDE matches are left out.
function(nibble_embed_folder target folder name)
  cmake_parse_arguments(PARSE_ARGV 3 embed "" "" "EXCLUDE")
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*)
  foreach(pattern ${embed_EXCLUDE})
    list(FILTER files EXCLUDE REGEX ${pattern})
  endforeach()
  list(TRANSFORM files PREPEND ${folder}/ OUTPUT_VARIABLE paths)
  list(JOIN files "," joined)
  set(script ${PROJECT_SOURCE_DIR}/cmake/EmbedFolder.cmake)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} -DFILES=${joined} -DOUTPUT=${output} -DNAME=${name} -P ${script}
    DEPENDS ${paths} ${script})
  target_sources(${target} PRIVATE ${output})
endfunction()
