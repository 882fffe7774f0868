//! What each API verb does, for every kind alike.
