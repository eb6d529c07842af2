# cmake -DFOLDER=folder -DFILES=a,b/c -DOUTPUT=file.cpp -DNAME=identifier -P EmbedFolder.cmake
# Writes the files as a table `nibble::NAME` (base/embedded.h).
string(REPLACE "," ";" files "${FILES}")
set(definitions "")
set(rows "")
set(index 0)
foreach(file ${files})
  file(READ ${FOLDER}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(SUBSTRING "${hex}" 0 4 magic)
  set(executable false)
  if(magic STREQUAL "2321")  # "#!"
    set(executable true)
  endif()
  string(APPEND definitions "constexpr unsigned char kFile${index}[] = {\n${bytes}};\n")
  string(APPEND rows "    {\"${file}\", ${executable}, kFile${index}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"base/embedded.h\"

namespace nibble {
namespace {
${definitions}
constexpr EmbeddedFile kFiles[] = {
${rows}};
}  // namespace
std::span<const EmbeddedFile> ${NAME}() { return kFiles; }
}  // namespace nibble
")
