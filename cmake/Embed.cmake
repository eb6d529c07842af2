# cmake -DINPUT=file -DOUTPUT=file.cpp -DNAME=identifier -P Embed.cmake
# Writes the bytes of INPUT as `extern const unsigned char NAME[]; extern const unsigned long NAME_size` in namespace nibble.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "namespace nibble {
extern const unsigned char ${NAME}[];
extern const unsigned long ${NAME}_size;
const unsigned char ${NAME}[] = {
${bytes}};
const unsigned long ${NAME}_size = sizeof(${NAME});
}  // namespace nibble
")
