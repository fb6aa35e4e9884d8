plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "s2f.app"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "s2f.app"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.compileSdk.get().toInt()
        versionCode = 1
        versionName = libs.versions.s2f.get()
    }

    androidResources {
        noCompress += "tflite" // so that the model is mapped from the package, not copied
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }

    kotlinOptions {
        jvmTarget = "1.8"
    }

    testOptions.unitTests {
        isIncludeAndroidResources = true
        all {
            it.jvmArgs("--add-opens=java.base/java.io=ALL-UNNAMED")
            it.systemProperty("s2f.output", layout.buildDirectory.get().asFile.path)
        }
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.tensorflow.lite)
    testImplementation(libs.robolectric)
    testImplementation(libs.junit)
}
