// Compression settings as they are typed.

import Compression
import Testing

@Suite("Compression settings")
struct SettingTests {
    @Test("every setting reads back from its description")
    func roundTrip() {
        var settings: [CompressionSetting] = [.none]
        settings += CompressionSetting.zstdLevels.flatMap { [.zstd(level: $0), .auto(level: $0)] }
        settings += CompressionSetting.zlibLevels.map { .zlib(level: $0) }
        for setting in settings { #expect(CompressionSetting(setting.description) == setting) }
        #expect(Set(settings.map(\.description)).count == settings.count)
    }

    @Test("a codec without a level takes its default")
    func defaults() {
        #expect(CompressionSetting("zstd") == .standard)
        #expect(CompressionSetting("zstd") == .zstd(level: 3))
        #expect(CompressionSetting("zlib") == .zlib(level: 6))
        #expect(CompressionSetting("auto") == .auto(level: 3))
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", "Zstd", "gzip", "none:1", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:+3", "zstd:03", "zstd:3:3",
            "zlib:0", "zlib:10", "auto:0", "auto:20", " zstd", "zstd ", "zstd:99999999999999999999",
        ])
    func refusals(text: String) {
        #expect(CompressionSetting(text) == nil)
    }
}
