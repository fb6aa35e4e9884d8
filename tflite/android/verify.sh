#!/usr/bin/env bash
# Checks all of the app that can be checked without a phone and without Google's Maven repository, on which the Android
# Gradle plugin lies: compiles both modules against the real classes of Android and TensorFlow Lite, runs the tests of
# both, links the resources, and packs, aligns and signs an APK, build/s2f.apk.
#
# Needs a JDK (17 or later), Maven, aapt2, zipalign and apksigner; Maven Central the first time.
# MODEL may name a command that answers as the model does on a phone, and SOUND a file of 48 kHz sound, for the tests of
# the screen.
set -euo pipefail
cd "$(dirname "$0")"

for tool in java javac jar keytool mvn aapt2 zipalign apksigner; do
    command -v "$tool" >/dev/null || { echo "verify.sh: '$tool' is not installed" >&2; exit 1; }
done

version() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" gradle/libs.versions.toml; }
say() { printf '%3d s  %s\n' "$SECONDS" "$1"; }
# Waits for the steps that run beside each other, and fails where one did.
join() { for job in $(jobs -p); do wait "$job" || exit 1; done; }

# --- What Maven has: a list of files for each profile of verify.pom.xml, which Maven makes anew when a version changes.

resolve() {
    [[ build/libraries/$1 -nt verify.pom.xml && build/libraries/$1 -nt gradle/libs.versions.toml ]] ||
        MAVEN_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" mvn \
        -q -B -Dstyle.color=never -f verify.pom.xml -P "$1" -Dkotlin="$(version kotlin)" \
        -DtensorflowLite="$(version tensorflowLite)" -DjunitPlatform="$(version junitPlatform)" \
        -Drobolectric="$(version robolectric)" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath -Dmdep.outputFile="$PWD/build/libraries/$1"
}
library() { tr : '\n' <"build/libraries/$1" | grep "/$2-[0-9][^/]*$"; }
# Unpacks a library for Android.
unpack() { mkdir -p "build/aar/$2" && (path=$(library "$1" "$2") && cd "build/aar/$2" && jar xf "$path"); }

mkdir -p build/libraries
for profile in compiler device desktop oldest; do resolve $profile & done
join
rm -rf build/aar build/generated build/out build/*.jar build/*.dex build/*.apk
mkdir -p build/generated build/out
unpack device tensorflow-lite
unpack device tensorflow-lite-api
unpack desktop monitor
stdlib=$(library device kotlin-stdlib)
junit=$(library desktop junit-platform-console-standalone)
tflite=build/aar/tensorflow-lite/classes.jar:build/aar/tensorflow-lite-api/classes.jar
framework=$(library device android-all)
say "the libraries are there"

# --- Resources, and compilation: core without Android, then app against Android as it is, and against the oldest that
# it is for, which finds what that does not have. Lambdas become classes, since the dexer knows no other kind.

resources() {
    # As the Gradle plugin does, which wants the package named in build.gradle.kts instead.
    sed 's/<manifest /<manifest package="s2f.app" /' app/src/main/AndroidManifest.xml >build/generated/AndroidManifest.xml
    aapt2 compile --dir app/src/main/res -o build/generated/resources.zip
    # Android 8 is the least here, and 7 in the Gradle project: the dexer cannot bring Kotlin's own library to 7.
    aapt2 link -I "$framework" --manifest build/generated/AndroidManifest.xml -A app/src/main/assets -0 .tflite \
        --java build/generated --min-sdk-version 26 --target-sdk-version "$(version compileSdk)" --version-code 1 \
        --version-name "$(version s2f)" -o build/linked.apk build/generated/resources.zip 2>&1 |
        grep -v 'Unknown chunk type' || true # which is newer than Debian's aapt2, and not used by the app
    [[ -s build/linked.apk ]]
    javac --release 8 -nowarn -Xlint:-options -d build/out/resources build/generated/s2f/app/R.java
}

compilations=()
kotlin() { # module, class path, sources, other settings
    compilations+=(-Werror -no-stdlib -no-reflect -jvm-target 1.8 -Xlambdas=class -Xsam-conversions=class
        -module-name "${1//-/_}" -d "build/out/$1" -classpath "$stdlib:$2" "${@:4}" "$3" --)
}

resources
say "the resources are linked"

app_path="build/out/core:build/out/resources:build/out/app:$tflite:build/aar/monitor/classes.jar:$framework"
app_path+=":$(tr : '\n' <build/libraries/desktop | grep '\.jar$' | paste -sd:)"
kotlin core "" core/src/main/kotlin
kotlin app "build/out/core:build/out/resources:$tflite:$framework" app/src/main/kotlin
kotlin oldest "build/out/core:build/out/resources:$tflite:$(<build/libraries/oldest)" app/src/main/kotlin
kotlin core-test "build/out/core:$junit" core/src/test/kotlin -Xfriend-paths=build/out/core
kotlin app-test "$app_path" app/src/test/kotlin
java -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC -cp "$(<build/libraries/compiler)" Compile.java "${compilations[@]}"
say "core is compiled without Android, app against the classes of Android $(version compileSdk) and of Android 7"

# --- Tests.

run_tests() { # module, class path, settings of Java
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "${@:3}" -jar "$junit" execute --disable-banner --disable-ansi-colors \
        --details=summary --fail-if-no-tests --scan-classpath "build/out/$1" -cp "$2:build/out/$1" >"build/$1.txt" 2>&1 ||
        { cat "build/$1.txt"; exit 1; }
    say "$(sed -n 's/^\[ *\([0-9]*\) tests successful.*/\1 tests of /p' "build/$1.txt")${1%-test} pass"
}

test_core() { run_tests core-test "$stdlib:build/out/core:core/src/test/resources"; }
test_app() {
    mkdir -p build/generated/com/android/tools
    cat >build/generated/com/android/tools/test_config.properties <<END
android_custom_package=s2f.app
android_merged_assets=$PWD/app/src/main/assets
android_merged_manifest=$PWD/build/generated/AndroidManifest.xml
android_resource_apk=$PWD/build/linked.apk
END
    run_tests app-test "$stdlib:$app_path:build/generated" --add-opens=java.base/java.io=ALL-UNNAMED -Drobolectric.offline=true \
        -Drobolectric.dependency.dir="$(dirname "$(library device android-all-instrumented)")" \
        -Ds2f.model="${MODEL:-}" -Ds2f.sound="${SOUND:-}" -Ds2f.output="$PWD/build"
}

# --- The package.

dex() { java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$(library desktop dalvik-dx)" com.android.dx.command.Main --dex "$@"; }

package() {
    # The app's own code, and TensorFlow Lite's, is brought to Android 7. Three functions of Kotlin's library, none of
    # which is called, are not to be had below 8.
    dex --min-sdk-version="$(version minSdk)" --output=build/classes.dex build/out/core build/out/app \
        build/out/resources ${tflite//:/ }
    unpack device kotlin-stdlib
    rm -r build/aar/kotlin-stdlib/META-INF # which holds classes for later Javas
    dex --min-sdk-version=26 --output=build/classes2.dex build/aar/kotlin-stdlib
    cp build/linked.apk build/unaligned.apk
    jar uMf build/unaligned.apk -C build classes.dex -C build classes2.dex
    cp -r build/aar/tensorflow-lite/jni build/generated/lib
    jar uM0f build/unaligned.apk -C build/generated lib # not compressed, so that they are mapped, too
    zipalign -f -p 4 build/unaligned.apk build/s2f.apk
    # A key that is good for trying out the app, made here and never kept with the sources.
    [[ -f build/debug.p12 ]] || keytool -genkeypair -keystore build/debug.p12 -storetype PKCS12 -storepass android \
        -alias debug -keyalg RSA -keysize 2048 -validity 10000 -dname "CN=Debug" 2>/dev/null
    apksigner sign --ks build/debug.p12 --ks-pass pass:android --min-sdk-version 26 build/s2f.apk
    apksigner verify --min-sdk-version 26 build/s2f.apk
    zipalign -c -p 4 build/s2f.apk
    say "build/s2f.apk is packed, aligned and signed"
}

test_core &
test_app &
package &
join
